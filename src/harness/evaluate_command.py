"""`dalle evaluate`: anybody's samples through the pipeline's own protocol, with no pipeline behind them."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dalle.config import ConfigError
from dalle.data.evaluation_captions import EVALUATION_SPLITS, evaluation_pairs
from dalle.data.images import load_evaluation_images
from dalle.data.manifest import BOX, one_row_per_image, read_manifest
from dalle.data.sources.rows import describe_files
from dalle.evaluation.folders import (
    folder_digest,
    folder_words,
    picture_files,
    read_folder,
    read_folder_by_image,
    read_table,
)
from dalle.evaluation.picture_files import NUM_NAMED
from dalle.evaluation.protocol import Protocol
from dalle.evaluation.samples import read_reranked
from dalle.evaluation.sweep import Originals, Samples, check, sweep
from dalle.evaluation.table import Row, read_rows, write_rows
from dalle.report.figures.blur_curves import blur_curves
from dalle.report.frames import BLURS, FEATURES, METRICS, most_candidates
from dalle.report.page import Markdown, PageFigure, Section, Table, write_page
from dalle.report.style import model_styles, save_figure
from harness.evaluation_parts import (
    accuracy_rows,
    clip_rows,
    evaluation_image_keys,
    extractor_of,
    num_smaller,
    seen_in_training,
)
from harness.hardware import configure_torch
from harness.prepared_sources import own_folders
from harness.run_config import MINIWORLD

if TYPE_CHECKING:
    from harness.params_tree import Params

MATCHES = ("caption_id", "image_id", "none")
TABLE, FIGURE, PAGE = "evaluate.csv", "blur_curves.png", "README.md"
UNFINISHED = ".finished-radii"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to evaluate against what: `against` is a prepared domain or a folder of images, `captions` a CSV or None.

    `match` is what file names tell, as in `evaluate.external`. `resize` reduces the samples to the pipeline's image size.
    """

    folder: Path
    against: str
    captions: Path | None
    match: str
    resize: bool
    name: str
    out: Path


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Samples and reference, read and checked; `shown` are the captions of the samples, where they are known.

    `words` say what was read of each folder, and what was not.
    """

    samples: Samples
    originals: Originals
    domain: str
    shown: pd.Series | None
    words: list[str]


def evaluate_folder(request: Request, params: "Params") -> Iterator[str]:
    """Write evaluate.csv, blur_curves.png and README.md into `request.out`; yields what to say on a terminal.

    Everything is read and checked before the first feature is taken, and the table is there, and said, before anything is
    drawn of it. A killed call goes on with the radius it was at.
    """
    protocol, device = params.evaluate, configure_torch(params.run)
    check_out(request)
    opened = open_samples(request, protocol, params.image_size if request.resize else None)
    yield from opened.words
    domain, model = opened.domain, opened.samples
    check([model], opened.originals, protocol)
    pipeline = read_rows(_pipeline_csv(domain)) if _pipeline_csv(domain).is_file() else None
    digest = folder_digest(request.folder)
    extractor = extractor_of(protocol, Path(), device)
    unfinished = request.out / UNFINISHED
    unfinished.mkdir(parents=True, exist_ok=True)
    rows = []
    if opened.shown is not None:
        over = {"domain": domain, "model": request.name}
        rows += clip_rows(model.images, opened.shown, device=device, **over)
        if domain in EVALUATION_SPLITS and getattr(params.prepare_data, domain) == MINIWORLD:
            rows += accuracy_rows(model.images, opened.shown, **over)
    rows += sweep([model], opened.originals, extractor, protocol, domain=domain, seed=params.seed, finished=unfinished)
    write_rows(rows, request.out / TABLE)
    own, found = read_rows(request.out / TABLE), comparable(rows, domain, model, params, pipeline)
    table = own if isinstance(found, str) else pd.concat([own, found], ignore_index=True)
    note = found if isinstance(found, str) else f"beside it what this pipeline measured ({_pipeline_csv(domain)})"
    if request.resize:
        note = f"samples reduced from {model.images.file_size} to {model.images.shape[1]} pixels a side; {note}"
    yield from terminal_lines(table)
    yield note
    yield f"sha256 of the samples, for evaluate.external: {digest}"
    folders = own_folders()
    figure = blur_curves(
        table,
        domain,
        dataset=folders.get(domain, domain),
        reference_size=protocol.blur_reference_size,
        published=domain not in folders,
    )
    save_figure(figure, request.out / FIGURE)
    write_summary(table, request, protocol, len(opened.originals.images), "; ".join([note, *opened.words]))
    shutil.rmtree(unfinished)
    yield f"written: {request.out / TABLE}, {FIGURE}, {PAGE}"


def check_out(request: Request) -> None:
    """A ConfigError where results would be mixed with something else, or cannot be written; nothing is written yet."""
    out = request.out
    others = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if out.is_file() or others - {TABLE, FIGURE, PAGE, UNFINISHED}:
        raise ConfigError(f"--out {out}: holds something else; name a folder of its own")
    for folder in (request.folder, Path(request.against)):
        if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(
                f"--out {out}: lies in {folder}, whose pictures are evaluated: the next call would take the figure for one; "
                "name a folder outside of it"
            )
    nearest = next(parent for parent in (out, *out.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise ConfigError(f"--out {out}: nothing can be written to {nearest}; name another folder")


def open_samples(request: Request, protocol: Protocol, size: int | None) -> Opened:
    """A folder with a ranking.csv has winners for many N, as `dvc repro rerank` writes them; any other one image a caption."""
    check_match(request)
    captions = _read_captions(request.captions)
    if (request.folder / "ranking.csv").is_file():
        if size is not None:
            raise ConfigError(f"--resize: {request.folder} has a ranking.csv, so it is of a pipeline with a size of its own")
        samples, shown = Samples.ranked(request.name, read_reranked(request.folder)), None
        used = [request.folder / file for file in read_table(request.folder / "samples.csv", ("file",))["file"]]
    else:
        if request.match == "image_id":
            found = read_folder_by_image(request.folder, evaluation_image_keys(request.against), size)
        else:
            found = read_folder(request.folder, captions, size)
            if found.captions is None and request.match == "caption_id":
                raise ConfigError(f"--match caption_id: {request.folder} has no samples.csv with captions; add --captions CSV")
        samples, used = Samples.single(request.name, found.images), found.images.files
        shown = found.captions["caption"] if found.captions is not None else None
    originals, domain, words = open_reference(request.against, samples, protocol)
    words = folder_words(request.folder, used) + words
    return Opened(samples=samples, originals=originals, domain=domain, shown=shown, words=words)


def check_match(request: Request) -> None:
    """A ConfigError where what the names tell does not go with what is asked."""
    if request.match not in MATCHES:
        raise ConfigError(f"--match {request.match}: is none of {', '.join(MATCHES)}")
    if request.match == "image_id" and request.against not in EVALUATION_SPLITS:
        domains = ", ".join(EVALUATION_SPLITS)
        raise ConfigError(f"--match image_id: names tell images of a domain: --against one of {domains}, got {request.against}")
    if request.match == "image_id" and request.captions is not None:
        raise ConfigError(
            "--captions: with --match image_id nobody knows which of an image's captions a sample was drawn for, so no sample "
            "can be judged by one; leave --captions out, or tell the ids (--match caption_id)"
        )
    if request.match == "none" and request.captions is not None:
        raise ConfigError("--captions: with --match none nobody knows which of them a sample was drawn for; leave one out")


def open_reference(against: str, samples: Samples, protocol: Protocol) -> tuple[Originals, str, list[str]]:
    """The reference at the size of the samples, through the crop that evaluations use, its name in the table, and words on it.

    Where most images are smaller than the samples they are refused, as smaller samples are; the number of fewer is said.
    """
    size = samples.images.shape[1]
    if against in EVALUATION_SPLITS:
        pairs = one_row_per_image(evaluation_pairs(read_manifest(Path(f"data/prepared/{against}.parquet")), against))
        words = _enlarged(against, pairs, size)
        seen = seen_in_training(against, pairs["image_id"].tolist(), protocol, len(samples.winners))
        return Originals(images=load_evaluation_images(pairs, size), overlapping=seen), against, words
    folder = Path(against)
    if not folder.is_dir():
        raise ConfigError(f"--against {against}: neither a domain ({', '.join(EVALUATION_SPLITS)}) nor a folder of images")
    files = picture_files(folder)
    described = describe_files(files)
    unreadable = [image for image in described if isinstance(image, str)]
    if unreadable:
        more = f"; and {len(unreadable) - NUM_NAMED} more" if len(unreadable) > NUM_NAMED else ""
        raise ConfigError(f"--against {against}: {'; '.join(unreadable[:NUM_NAMED])}{more}")
    places = pd.DataFrame(described).assign(**dict.fromkeys(BOX, 0))
    words = folder_words(folder, files) + _enlarged(against, places, size)
    return Originals(images=load_evaluation_images(places, size), overlapping=None), folder.resolve().name, words


def _enlarged(against: str, images: pd.DataFrame, size: int) -> list[str]:
    """How many reference images are enlarged to the samples' size, in words; a ConfigError if it is most of them."""
    number = num_smaller(images, size)
    words = f"{number} of {len(images)} reference images are smaller than the samples' {size} pixels"
    if 2 * number > len(images):
        raise ConfigError(
            f"--against {against}: {words}, and enlarging them would change every score; "
            "take larger ones, or reduce the samples (--resize reduces them to image_size)"
        )
    return [f"{words}, and were enlarged to them"] if number else []


def comparable(
    rows: list[Row], domain: str, samples: Samples, params: "Params", ours: pd.DataFrame | None
) -> pd.DataFrame | str:
    """`ours`, the pipeline's own rows of this domain, where they may stand beside `rows`, or a sentence on why they may not."""
    path = _pipeline_csv(domain)
    if ours is None:
        return f"alone: this pipeline has not evaluated {domain}"
    if samples.images.shape[1] != params.image_size:
        sizes = f"{samples.images.shape[1]} pixels a side, the pipeline's {params.image_size}"
        hint = "; --resize reduces them to it" if samples.images.shape[1] > params.image_size else ""
        return f"alone: these samples have {sizes}{hint}"
    mine = pd.DataFrame(rows)
    if (ours["model"] == samples.model).any():
        return f"alone: {path} has a model called {samples.model} already; choose another --name"
    for column in ("features", "blur_kind", "num_samples", "blur_radius"):
        values = [sorted(set(frame[frame["metric"] == "fid"][column])) for frame in (mine, ours)]
        if values[0] != values[1]:
            return f"alone: {column} is {_listed(values[0])} here and {_listed(values[1])} in {path}, which does not compare"
    return ours


def write_summary(table: pd.DataFrame, request: Request, protocol: Protocol, num_reference: int, note: str) -> None:
    """The page: what was measured, over what, with its interval."""
    mine = table[table["model"] == request.name]
    number = int(mine[mine["metric"] == "fid"]["num_samples"].iloc[0])
    over = (
        f"{number:,} images of {request.folder} against {num_reference:,} of {request.against}; "
        f"{FEATURES[protocol.features]}; {BLURS[protocol.blur_kind]}, "
        f"radii for pictures of {protocol.blur_reference_size} pixels; {note}."
    )
    header, rows = score_table(table)
    caption = "FID at this number of images is biased upwards, the same for all models: compare within the figure only."
    figure = PageFigure(file=request.out / FIGURE, title="Scores against blur", caption=caption, origin=None)
    intervals = (
        "In brackets: one standard deviation each way for FID (bootstrap), the Inception score (splits) and KID (subsets), one "
        "standard error for the CLIP score, the Wilson 95 % interval for precision, recall and caption accuracy."
    )
    text = [intervals, Markdown(f"All rows, over all radii: [{TABLE}]({TABLE}).")]
    scores = Table(header=header, rows=rows, numbers=header[2:])
    section = Section(title="Without blur", text=text, tables=[scores], figures=[figure])
    write_page(request.out / PAGE, f"{request.name} on {request.against}", over, [section])


def score_table(table: pd.DataFrame) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A row a model and reference at its largest N, without blur: value (low to high)."""
    unblurred = table[(table["blur_radius"] == 0) & table["metric"].isin(METRICS)]
    unblurred = unblurred[unblurred["reference"].isin(("all", "no_overlap"))]
    best, rows = most_candidates(unblurred), []
    shown = [metric for metric in METRICS if (best["metric"] == metric).any()]
    for (model, reference), scores in best.groupby(["model", "reference"]):
        of_metric = {row.metric: row for row in scores.itertuples()}
        cells = [_score(of_metric.get(metric), metric) for metric in shown]
        rows.append((model_styles([model])[model].label, str(reference), *cells))
    return ("model", "reference", *(f"{METRICS[metric].label} {METRICS[metric].note[0]}" for metric in shown)), rows


def terminal_lines(table: pd.DataFrame) -> Iterator[str]:
    header, rows = score_table(table)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for cells in (header, *rows):
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _score(row: tuple | None, metric: str) -> str:
    if row is None:
        return "–"
    digits = METRICS[metric].digits
    return f"{row.value:{digits}} ({row.low:{digits}} to {row.high:{digits}})"


def _read_captions(path: Path | None) -> pd.DataFrame | None:
    if path is None:
        return None
    try:
        return read_table(path, ("caption_id", "caption"))
    except ValueError as error:
        raise ConfigError(f"--captions {error}") from None


def _pipeline_csv(domain: str) -> Path:
    return Path(f"reports/metrics/evaluate-{domain}.csv")


def _listed(values: list) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
