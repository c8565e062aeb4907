import numpy as np
import pandas as pd
import pytest

from dalle.report.frames import EVALUATION_COLUMNS

SWEEP = (1, 2, 4, 8)
RADII = (0.0, 1.0, 2.0, 4.0, 8.0)


def row(metric, value, *, model="dalle", radius=0.0, reference="all", candidates=1, num_samples=300, spread=0.1):
    features, kind = ("reader", "none") if metric == "caption_accuracy" else ("lite0", "pil")
    over = ("coco", model, features, kind, radius, reference, candidates, num_samples)
    return dict(zip(EVALUATION_COLUMNS, (*over, metric, value, value - spread, value + spread), strict=True))


@pytest.fixture
def evaluation():
    """A small evaluation as the evaluate stage writes it: three models over radii, N for ours, accuracy on two splits."""
    rows = []
    for model, level in (("dalle", 60.0), ("dvae", 30.0), ("df_gan", 55.0)):
        best = SWEEP[-1] if model == "dalle" else 1
        for index, radius in enumerate(RADII):
            over = {"model": model, "radius": radius, "candidates": best}
            step = -4 if model == "dalle" else -1
            rows.append(row("fid", level + step * index, **over))
            rows.append(row("inception_score", level / 5 - index, **over))
            if model == "dalle":
                rows.append(row("fid", level + step * index + 0.05, reference="no_overlap", **over))
    for index, number in enumerate(SWEEP):
        if number < SWEEP[-1]:
            rows.append(row("fid", 70.0 - index, candidates=number))
            rows.append(row("inception_score", 9.0 + index, candidates=number))
        for reference, shift in (("all", 0.0), ("no_overlap", 0.3)):
            over = {"candidates": number, "reference": reference, "spread": 0.6}
            rows.append(row("fid_over_subsets", 71.0 - 2 * index + shift, **over))
        rows.append(row("inception_score_over_subsets", 9.2 + index, candidates=number, spread=0.6))
        for reference, share in (("all", 0.5), ("heldout", 0.4)):
            accuracy = {"reference": reference, "candidates": number, "num_samples": 80}
            rows.append(row("caption_accuracy", share + 0.1 * index, **accuracy))
    rows.append(row("caption_accuracy", 0.97, model="real"))
    return pd.DataFrame(rows)


@pytest.fixture
def images():
    """Sixteen different uint8 pictures (16, 32, 32, 3)."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (16, 4, 4, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((1, 8, 8, 1), np.uint8))


@pytest.fixture
def captions():
    return [f"a number {number} beside $5_000_ <b>& * [star]" for number in range(16)]


@pytest.fixture
def curves():
    """A training's curves: 60 updates, validation every 20, schedules."""
    steps = np.arange(60)
    valid = np.where(steps % 20 == 19, 1.0, np.nan)
    columns = ("psnr_db", "codebook_used", "elbo_relaxed", "elbo_true", "loss", "text_loss", "image_loss", "retrieval_top1",
               "top1", "suggested_threshold", "matching", "mismatching", "fake")
    frame = pd.DataFrame({"step": steps, "train/loss": 5 / (1 + steps), "train/text_loss": 3 / (1 + steps)})
    frame["train/image_loss"] = 4 / (1 + steps)
    for index, name in enumerate(("matching", "mismatching", "fake", "penalty")):
        frame[f"train/{name}"] = index + steps / 60
    for index, name in enumerate((*columns, "retrieval_top5")):
        frame[f"valid/{name}"] = valid * (index + steps / 60)
    for name in ("beta", "tau", "learning_rate"):
        frame[f"schedule/{name}"] = 1 - steps / 60
    return frame
