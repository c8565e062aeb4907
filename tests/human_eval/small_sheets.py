"""Captions, controls and pictures small enough to plan and show whole sheets in a test."""

import numpy as np
import pandas as pd

from dalle.human_eval.pairs import SheetConfig, plan_sheets
from dalle.human_eval.pictures import ModelPictures, PairPictures
from dalle.human_eval.sheets import shown_sheet

SIZE = 8
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "\"quotes' & <b>ampersands</b> {{ 7 * 7 }} ${caption}",
    "=HYPERLINK(\"http://x\")",
    "@SUM(A1)",
    "-2+3",
    "a 🦔 in a 🎄 sweater, 刺猬",
    "قنفذ صغير يرتدي سترة",
    "<!-- ]]> \u2028 \\u003c",
    "+1",
)


def config(**changes) -> SheetConfig:
    values = {"model": "dalle", "rival": "dfgan", "pairs_per_sheet": 10, "raters": 5, "attention_checks": 2, "repeats": 2}
    return SheetConfig(**{**values, **changes})


def captions_of(number: int, *, first: int = 0) -> pd.DataFrame:
    rows = range(first, first + number)
    return pd.DataFrame(
        {
            "caption_id": [f"capt{row:04d}" for row in rows],
            "image_id": [f"img{row:04d}" for row in rows],
            "caption": [f"a hedgehog number {row}" for row in rows],
        }
    )


def hostile_captions() -> pd.DataFrame:
    frame = captions_of(len(HOSTILE))
    return frame.assign(caption=HOSTILE)


def controls_of(captions: pd.DataFrame, more: int = 20) -> pd.DataFrame:
    """The captions' own images and `more` others, as the manifest of a domain's evaluation split."""
    return pd.concat([captions, captions_of(more, first=5000)], ignore_index=True)


def colours(number: int, seed: int) -> np.ndarray:
    """Pictures of one colour each, uint8 (number, SIZE, SIZE, 3), no two alike."""
    shades = np.random.default_rng(seed).choice(2**24, number, replace=False)
    channels = np.stack([shades >> 16, shades >> 8 & 255, shades & 255], axis=-1).astype(np.uint8)
    return np.tile(channels[:, None, None], (1, SIZE, SIZE, 1))


def pictures_of(captions: pd.DataFrame, controls: pd.DataFrame, seed: int = 0) -> PairPictures:
    rows = {caption_id: row for row, caption_id in enumerate(captions["caption_id"])}
    models = {
        name: ModelPictures(images=colours(len(rows), number), rows=rows) for number, name in enumerate(("dalle", "dfgan"))
    }
    real = dict(zip(controls["image_id"], colours(len(controls), 9), strict=True))
    return PairPictures(models, real, SIZE, seed)


def plans_and_sheets(captions: pd.DataFrame, *, seed: int = 0, **changes):
    controls = controls_of(captions)
    plans = plan_sheets(captions, controls, config(**changes), seed)
    pictures = pictures_of(captions, controls, seed)
    return plans, [shown_sheet(plan, pictures, seed) for plan in plans]
