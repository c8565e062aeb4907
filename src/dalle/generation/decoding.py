"""Image tokens back to pixels."""

import numpy as np
import torch

from dalle.dvae.model import DVAE


@torch.inference_mode()
def decode_codes(dvae: DVAE, image_tokens: np.ndarray, batch_size: int, device: str) -> np.ndarray:
    """The images of image tokens (M, G*G) in raster order, uint8 (M, H, W, 3), rounded; `dvae` is moved to `device`."""
    config, num_cells = dvae.config, dvae.config.grid_size**2
    if image_tokens.ndim != 2 or image_tokens.shape[1] != num_cells:
        raise ValueError(f"image tokens have shape {image_tokens.shape}, this dVAE decodes {num_cells} an image")
    if image_tokens.size and not 0 <= image_tokens.min() <= image_tokens.max() < config.codebook_size:
        raise ValueError(f"an image token lies outside this dVAE's codebook, 0 to {config.codebook_size - 1}")
    dvae.to(device).eval()
    images = np.empty((len(image_tokens), config.image_size, config.image_size, 3), dtype=np.uint8)
    for start in range(0, len(image_tokens), batch_size):
        rows = slice(start, start + batch_size)
        codes = torch.from_numpy(image_tokens[rows].astype(np.int64)).view(-1, config.grid_size, config.grid_size)
        decoded = dvae.decode(codes.to(device))
        images[rows] = (decoded * 255).round().clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()
    return images
