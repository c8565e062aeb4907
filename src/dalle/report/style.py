"""How every figure looks: sizes, inks, and colours that always mean the same model."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

# Lengths are page pixels: what GitHub shows. Files hold twice as many, for sharp screens.
WIDTH = 900
DEVICE_SCALE = 2
PIXELS_PER_INCH = 100

INK = "#1f2328"
MUTED = "#656d76"
FAINT = "#8c959f"
GRID = "#e6e9ed"
PALE = "#f3f5f7"

TITLE, SUBTITLE, HEADING, LABEL, NOTE = 15.0, 11.5, 12.5, 11.0, 10.0


def points(pixels: float) -> float:
    """Typographic points (matplotlib's unit of type and line width) for a length in page pixels."""
    return pixels * 72 / PIXELS_PER_INCH


STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": points(LABEL),
    "text.color": INK,
    "text.parse_math": False,  # captions may contain dollar signs
    "axes.edgecolor": "#b6bdc6",
    "axes.labelcolor": MUTED,
    "axes.labelsize": points(LABEL),
    "axes.linewidth": points(1),
    "axes.spines.left": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": points(1),
    "xtick.color": "#b6bdc6",
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": points(LABEL),
    "xtick.major.size": points(4),
    "xtick.major.width": points(1),
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": points(LABEL),
    "ytick.major.size": 0,
    "lines.linewidth": points(2.25),
    "lines.markersize": points(7),
    "lines.solid_capstyle": "round",
}


def styled(draw):
    """Decorator: draw under our style whatever the caller's matplotlib is set to, and leave that untouched."""
    return matplotlib.style.context(["default", STYLE])(draw)


@dataclass(frozen=True, kw_only=True)
class ModelStyle:
    """The name, colour and marker of one model in every figure; the marker says it again without colour."""

    label: str
    colour: str
    marker: str


# Okabe and Ito's palette, which stays apart under every common colour blindness
MODELS = {
    "dalle": ModelStyle(label="DALL-E", colour="#0072b2", marker="o"),
    "dalle_finetuned": ModelStyle(label="DALL-E, fine-tuned", colour="#0a3d7a", marker="P"),
    "dvae": ModelStyle(label="dVAE reconstructions", colour="#009e73", marker="D"),
    "real": ModelStyle(label="real images", colour="#57606a", marker="s"),
    "clip": ModelStyle(label="CLIP", colour="#8250a8", marker="h"),
    "df_gan": ModelStyle(label="DF-GAN", colour="#d55e00", marker="^"),
    "dm_gan": ModelStyle(label="DM-GAN", colour="#c2679a", marker="v"),
    "attn_gan": ModelStyle(label="AttnGAN", colour="#d99000", marker="<"),
}
SPARE = (("#3b9fd4", "p"), ("#8f6b4f", ">"), ("#6a7f1e", "d"), ("#a0475d", "*"))
SAME_MODEL = {"dfgan": "df_gan", "dmgan": "dm_gan", "attngan": "attn_gan", "reference": "real"}
TEXT_ENCODERS = {"clip": "CLIP", "damsm": "DAMSM"}


def model_styles(names: Iterable[str], labels: Mapping[str, str] = MappingProxyType({})) -> dict[str, ModelStyle]:
    """A style for each name; models unknown here get spare colours in alphabetical order. `labels` are other labels by name."""
    styles, num_unknown = {}, 0
    for name in sorted(set(names)):
        key = name.lower().replace("-", "_")
        key = SAME_MODEL.get(key.replace("_", ""), key)
        if key in MODELS:
            styles[name] = MODELS[key]
        else:
            colour, marker = SPARE[num_unknown % len(SPARE)]
            styles[name] = ModelStyle(label=name, colour=colour, marker=marker)
            num_unknown += 1
    return {name: replace(style, label=labels.get(name, style.label)) for name, style in styles.items()}


def dfgan_label(text_encoder: str) -> str:
    """The DF-GAN that is trained here, with what it reads captions by."""
    return f"{MODELS['df_gan'].label}, {TEXT_ENCODERS.get(text_encoder, text_encoder)} text"


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """`colour` on white paper: strength 1 is the colour itself, 0 is white."""
    return tuple(1 - strength * (1 - channel) for channel in matplotlib.colors.to_rgb(colour))


@styled
def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG whose bytes depend on the picture alone (no date, no software name), replacing `path` atomically."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    Image.fromarray(np.ascontiguousarray(pixels)).save(temporary, format="PNG")
    os.replace(temporary, path)
