"""bf16 or float32, for training and for whatever runs a trained model."""

import torch


def autocast(device: str, precision: str, *, cache: bool = True) -> torch.autocast:
    """bf16 where asked for; parameters and optimiser state stay float32.

    The cache of cast weights belongs to the process: threads that each build a graph must do without.
    """
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=precision == "bf16", cache_enabled=cache)
