"""Text tokens and image tokens -> logits: the sparse transformer over both (PAPER 3), or a PixelCNN."""
