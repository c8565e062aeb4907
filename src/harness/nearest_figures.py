"""Pictures beside the training images nearest to them: what the report shows of copies, and of overlap (3.2)."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dalle.data.evaluation_captions import evaluation_pairs
from dalle.data.images import load_evaluation_images
from dalle.data.manifest import one_row_per_image, read_manifest
from dalle.evaluation.memorisation import read_nearest
from dalle.evaluation.overlap import planted_overlap
from dalle.overlap.found import read_found, read_table
from dalle.report.figures.memorisation import COLUMNS as NUM_COLUMNS
from dalle.report.figures.memorisation import Band, memorisation
from dalle.report.figures.overlap import COLUMNS as NUM_NEAREST
from dalle.report.figures.overlap import OverlapBand, overlap

if TYPE_CHECKING:
    from harness.reporting import Evidence

METRICS = Path("reports/metrics")
BELOW = "below: relative distance, bold where it makes a copy"


def memorisation_figure(evidence: "Evidence", domain: str) -> Figure:
    """Samples, and real images for comparison, beside their nearest training images: those most like one, and the first."""
    size, columns = evidence.params.image_size, min(evidence.params.report.columns, NUM_COLUMNS)
    table, reranked = read_nearest(METRICS / f"memorisation-{domain}.csv"), evidence.reranked[domain]
    training = read_manifest(Path("data/filtered/pairs.parquet")).set_index("pair_id", drop=False)
    pairs = one_row_per_image(evaluation_pairs(read_manifest(Path(f"data/prepared/{domain}.parquet")), domain))

    def band(rows: pd.DataFrame, images: np.ndarray, **words: str) -> Band:
        nearest = load_evaluation_images(training.loc[rows["nearest"]], size)
        return Band(images=images, nearest=nearest, relative=rows["relative"].tolist(), **words)

    ours, real = (table[table["model"] == model] for model in ("dalle", "real"))
    first, closest = ours.head(columns), ours.nsmallest(columns, "relative")
    leaked = real.nsmallest(columns, "relative")
    samples_of = reranked.images[reranked.winners[:, -1]]
    bands = [
        band(closest, samples_of[closest["image"]], heading="Samples most like one training image", note=BELOW, name="sample"),
        band(first, samples_of[first["image"]], heading="The first samples", note="nothing picked", name="sample"),
        band(
            leaked,
            load_evaluation_images(pairs.iloc[leaked["image"]], size),
            heading="Real validation images most like one training image",
            note="what overlap looks like, if there is any",
            name="validation image",
        ),
    ]
    train = training[training["split"] == "train"]
    return memorisation(bands, table, num_training=train["image_id"].nunique(), dataset=evidence.dataset(domain))


def overlap_figure(evidence: "Evidence", domain: str) -> Figure:
    """The closest evaluation images, those on both sides of the threshold, and the whole spread."""
    size = evidence.params.image_size
    table, found = read_table(Path(f"data/overlap/{domain}.csv")), read_found(Path(f"data/overlap/{domain}.json"))
    training = read_manifest(Path("data/filtered/pairs.parquet")).set_index("pair_id", drop=False)
    pairs = one_row_per_image(evaluation_pairs(read_manifest(Path(f"data/prepared/{domain}.parquet")), domain))
    pairs = pairs.set_index("image_id", drop=False)
    truth = Path("data/prepared/truth/web.parquet")
    if truth.is_file():
        leaks = pd.read_parquet(truth)
        kept = leaks[leaks["pair_id"].isin(training["pair_id"])]["leak_of"]
        table["planted"] = planted_overlap(kept, domain, table["image_id"].tolist())

    def band(heading: str, rows: pd.DataFrame) -> OverlapBand:
        nearest, mirrored = load_evaluation_images(training.loc[rows["nearest"]], size), rows["mirrored"].to_numpy()
        return OverlapBand(
            heading=heading,
            images=load_evaluation_images(pairs.loc[rows["image_id"]], size),
            nearest=np.where(mirrored[:, None, None, None], nearest[:, :, ::-1], nearest),
            similarity=rows["similarity"].tolist(),
            mirrored=mirrored.tolist(),
            planted=rows["planted"].tolist() if "planted" in rows else (),
        )

    num, seen, others = NUM_NEAREST, table.head(len(found.image_ids)), table.iloc[len(found.image_ids) :]
    above = {"The closest": seen.head(num), "Just above the threshold": seen.iloc[num:].tail(num)}
    below = {"Just below the threshold": others.head(num), "Further below": others.iloc[num:].head(num)}
    return overlap(
        *([band(heading, rows) for heading, rows in side.items() if len(rows)] for side in (above, below)),
        table,
        threshold=found.threshold,
        num_training=found.num_training_images,
        dataset=evidence.dataset(domain),
    )
