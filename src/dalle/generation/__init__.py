"""The only place where prior meets dVAE: sampling image tokens for captions and decoding them to images (PAPER 5)."""
