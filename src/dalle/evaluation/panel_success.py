"""How often a completed picture is what its caption asks for, told by the miniature world's reader of panels (PAPER 7)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import binomtest

from dalle.miniworld.panel_reader import shows_panels
from dalle.miniworld.panels import KINDS, Panels


def as_asked(images: np.ndarray, panels: Sequence[Panels]) -> np.ndarray:
    """Whether each of images uint8 (M, S, S, 3) still has the top of its panels, and below it what they say: bool (M,)."""
    return np.array([shows_panels(image, wanted) for image, wanted in zip(images, panels, strict=True)], dtype=bool)


def completion_metrics(
    completions: np.ndarray, told: np.ndarray, best: np.ndarray, panels: Sequence[Panels]
) -> dict[str, float]:
    """Success of the first completion and of the best of N, and of the first as another caption asks; pictures of each kind.

    `completions` uint8 (C, N, S, S, 3), `told` bool (C, N) from `as_asked`, `best` (C,) the candidates that were chosen.
    """
    metrics = success_metrics("dalle_best_of_1", told[:, 0], panels, interval=True)
    if told.shape[1] > 1:
        chosen = told[np.arange(len(told)), best]
        metrics |= success_metrics(f"dalle_best_of_{told.shape[1]}", chosen, panels, interval=True)
    otherwise = asked_otherwise(panels)
    metrics |= success_metrics("other_caption", as_asked(completions[:, 0], otherwise), otherwise)
    counts = Counter(wanted.kind for wanted in panels)
    return metrics | {f"pictures/{kind}": counts[kind] for kind in KINDS}


def success_metrics(name: str, successes: np.ndarray, panels: Sequence[Panels], *, interval: bool = False) -> dict[str, float]:
    """`success/NAME` over all pictures and `success/NAME_KIND` over each kind that there is; bool (M,) to shares.

    With `interval` the ends of each share's 95 % Wilson interval as `success_low/...` and `success_high/...`.
    """
    metrics: dict[str, float] = {}
    for key, members in _groups(name, panels).items():
        metrics[f"success/{key}"] = float(successes[members].mean())
        if interval:
            ends = binomtest(int(successes[members].sum()), int(members.sum())).proportion_ci(method="wilson")
            metrics |= {f"success_low/{key}": float(ends.low), f"success_high/{key}": float(ends.high)}
    return metrics


def asked_otherwise(panels: Sequence[Panels]) -> list[Panels]:
    """For each picture the same top with what the next picture of another kind asks for; there are two kinds at least.

    What of it shows up in completions that were asked for something else would have come under any caption.
    """
    return [_with_demand(wanted, _next_of_another_kind(panels, index)) for index, wanted in enumerate(panels)]


def _with_demand(panels: Panels, other: Panels) -> Panels:
    return replace(panels, kind=other.kind, colour_below=other.colour_below if other.kind == "recoloured" else panels.colour)


def _next_of_another_kind(panels: Sequence[Panels], index: int) -> Panels:
    behind = (panels[(index + step) % len(panels)] for step in range(1, len(panels)))
    return next(other for other in behind if other.kind != panels[index].kind)


def _groups(name: str, panels: Sequence[Panels]) -> dict[str, np.ndarray]:
    kinds = np.array([wanted.kind for wanted in panels])
    groups = {name: np.full(len(panels), True)} | {f"{name}_{kind}": kinds == kind for kind in KINDS}
    return {key: members for key, members in groups.items() if members.any()}
