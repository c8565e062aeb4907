"""What limits the run, as a table: how near each part of the chain comes to what the part before it allows."""

import pandas as pd

from dalle.report.page import Table
from dalle.report.results import Results

HEADER = ("domain", "what limits", "measured", "what it says")
PARTS = {
    "heldout": "combinations never seen in training", "one_object": "one object", "two_objects": "two objects",
    "three_objects": "three objects",
}  # fmt: skip
TWICE_AT_RADIUS = 2.0  # where the dVAE's distance is set against that of real images


def limits(results: Results) -> Table:
    """From the reader to the first sample, and which captions are hard; rows whose numbers are not there are left out."""
    rows = []
    for domain in results.domains:
        rows += [(results.name(domain), *row) for row in (*_accuracy(results, domain), *_floor(results, domain))]
    return Table(header=HEADER, rows=rows)


def _accuracy(results: Results, domain: str) -> list[tuple[str, str, str]]:
    found = []
    steps = (
        ("real", "caption_accuracy", "the reader: real pictures", "no accuracy can be trusted beyond it"),
        ("dvae", "caption_accuracy", "the codes: real pictures through the dVAE", "no prior can do better"),
        ("dalle", "oracle_accuracy", "the candidates: any of {} right", "no choice can do better"),
        ("dalle", "caption_accuracy", "CLIP's choice among {}", "what is lacking to the candidates is the reranker's"),
    )
    for model, metric, name, says in steps:
        rows = results.rows(domain, metric, model)
        if len(rows):
            row = rows.iloc[-1]
            found.append((name.format(f"{row['candidates']:.0f}"), _share(row), says))
    first = results.rows(domain, "caption_accuracy")
    if len(first) > 1:
        found.append(("the prior: the first sample", _share(first.iloc[0]), "what is lacking to the codes is the prior's"))
    for part, name in PARTS.items():
        chosen, any_of = (results.rows(domain, metric, reference=part) for metric in ("caption_accuracy", "oracle_accuracy"))
        if len(chosen) and len(any_of):
            measured = f"CLIP's choice {_share(chosen.iloc[-1])}, any right {_share(any_of.iloc[-1])}"
            found.append((f"captions with {name}", measured, f"{chosen['num_samples'].iloc[-1]:,.0f} captions"))
    return found


def _floor(results: Results, domain: str) -> list[tuple[str, str, str]]:
    """FID of the dVAE beside that of real images: what no sample of these codes can fall below."""
    found = []
    for radius in (0.0, TWICE_AT_RADIUS):
        codes, real = (results.at_radius(domain, "fid", radius, model) for model in ("dvae", "real"))
        if len(codes) and len(real):
            floor, level = codes["value"].iloc[0], real["value"].iloc[0]
            where = f"blur radius {radius:g}" if radius else "no blur"
            times = f", {floor / level:.1f} times as far" if level > 0 else ""
            measured = f"FID {floor:.1f} for the dVAE's reconstructions, {level:.1f} for real images"
            says = f"samples cannot come nearer than the reconstructions{times}"
            found.append((f"fine detail that the codes do not hold ({where})", measured, says))
    return found


def _share(row: pd.Series) -> str:
    return f"{row['value']:.0%} ({row['low']:.0%} to {row['high']:.0%})"
