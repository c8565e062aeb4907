"""How well an image fits a caption: a contrastive model (open_clip) trained here, its scores, and the winners they choose."""
