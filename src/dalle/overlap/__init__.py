"""Which evaluation images were seen in training: a network trained to know copies, and exact nearest neighbours (PAPER 3.2)."""
