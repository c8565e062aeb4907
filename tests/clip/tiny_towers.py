"""The smallest towers of both kinds, for pictures of 32 pixels."""

from dalle.clip.model import TowerSizes

TRANSFORMER = TowerSizes(
    embed_dim=16,
    patch_size=16,
    vision_width=32,
    vision_layers=(1,),
    vision_heads=2,
    text_length=24,
    text_width=32,
    text_layers=1,
    text_heads=2,
)
RESNET = TowerSizes(
    embed_dim=16,
    patch_size=None,
    vision_width=8,
    vision_layers=(1, 1, 1, 1),
    vision_heads=4,
    text_length=24,
    text_width=32,
    text_layers=1,
    text_heads=2,
)
