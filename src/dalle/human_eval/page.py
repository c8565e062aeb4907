"""A sheet as one self-contained page: two pictures, a caption, two questions, and the votes as a CSV file."""

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from dalle.human_eval.sheets import ShownSheet

SMALL = 128  # pictures below this many pixels a side are enlarged without smoothing
MINUTES_PER_PAIR = 0.2  # two answers, six seconds each


def sheet_page(sheet: ShownSheet, image_size: int) -> str:
    """The page's HTML, the same for equal sheets. Captions stand in it as data that no browser takes for markup."""
    style, script = _source("sheet.css"), _source("sheet.js")
    pairs = [
        {"id": pair.pair_id, "caption": pair.caption, "left": _data_uri(pair.left), "right": _data_uri(pair.right)}
        for pair in sheet.pairs
    ]
    return _template().render(
        sheet_id=sheet.sheet_id,
        num_pairs=len(pairs),
        minutes=max(1, round(len(pairs) * MINUTES_PER_PAIR)),
        small=image_size < SMALL,
        content={"sheet": sheet.sheet_id, "edition": edition(sheet), "pairs": pairs},
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
    )


def edition(sheet: ShownSheet) -> str:
    """Differs wherever pictures, captions or their order do: votes kept in a browser belong to one edition of a sheet."""
    return hashlib.sha256(" ".join(pair.pair_id for pair in sheet.pairs).encode()).hexdigest()[:8]


def _policy(style: str, script: str) -> str:
    """What the page may do: show its own pictures, run this script and this style, and reach nothing else."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _source_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


@lru_cache(maxsize=1)
def _template():
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_source("sheet.html"))


@lru_cache(maxsize=4)
def _source(name: str) -> str:
    return files("dalle.human_eval").joinpath(name).read_text(encoding="utf-8")
