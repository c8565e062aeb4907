"""The GANs that the paper is compared with, one folder each, and what they have in common (PAPER 6)."""
