"""What was measured of completed pictures, in words: for the figure, the page and its findings."""

from dalle.report.headlines import full_key
from dalle.report.results import Results, flattened
from dalle.report.verdicts import by_interval


def completion_subtitle(results: Results) -> str:
    """What the completions of a figure are, with the share of each kind that is as asked where that can be told."""
    kinds = _kinds(results)
    if not kinds:
        return "pictures taken in order, completions not picked by hand"
    shares = [f"{kind} {' → '.join(_shares(results, f'_{kind}'))} of {count}" for kind, count in kinds.items()]
    over = "first samples" if _most(results) == 1 else f"from the first sample to the best of {_most(results)}"
    return f"as asked, {over}: {', '.join(shares)}"


def completion_words(results: Results) -> str:
    """What "as asked" means, and how far the reader that tells can be believed; empty where it can tell nothing."""
    if not _kinds(results):
        return ""
    reader, codes = (results.number("complete", key) for key in ("reader/accuracy", "success/dvae"))
    return (
        "As asked: a reader finds the given top again, and below it what the caption makes of it. "
        f"It is right on {reader:.1%} of fresh pictures, and still on {codes:.1%} of these through the dVAE."
    )


def completion_sentences(results: Results) -> list[str]:
    """What the page's first paragraph says of completions; nothing where they cannot be judged."""
    if not _kinds(results):
        return []
    total, shares = results.number("complete", "pictures/total"), _shares(results, "")
    best = f", {shares[1]} of the best of {_most(results)}" if len(shares) > 1 else ""
    return [f"Of {total:.0f} pictures completed from their top, {shares[0]} of first samples{best} are as the caption asks."]


def completion_findings(results: Results) -> list[tuple[str, str, str]]:
    """The paper's claim, what was measured here, and whether it is as in the paper; nothing where it cannot be judged."""
    if not _kinds(results):
        return []
    otherwise = results.number("complete", "success/other_caption")
    low = results.number("complete", f"success_low/dalle_best_of_{_most(results)}")
    high = flattened(results.metrics["complete"]).get(f"success_high/dalle_best_of_{_most(results)}", float("inf"))
    measured = (
        f"{' → '.join(_shares(results, ''))} as asked from N = 1 to {_most(results)}, {otherwise:.0%} as another "
        "caption asks; training shows such panels"
    )
    claim = "Image-to-image: completes a picture from its top as the caption says; no number is given (3.3, Fig. 2d, 14)"
    return [(claim, measured, by_interval(low, high, otherwise))]


def _kinds(results: Results) -> dict[str, int]:
    """How many judged pictures there are of each kind of panels; empty where there is no truth about them."""
    metrics = flattened(results.metrics.get("complete", {}))
    counts = {key.removeprefix("pictures/"): int(value) for key, value in metrics.items() if key.startswith("pictures/")}
    return {kind: count for kind, count in counts.items() if kind != "total" and count}


def _most(results: Results) -> int:
    """N of the best of N."""
    return int(full_key(flattened(results.metrics["complete"]), "success/dalle_best_of_max").rpartition("_")[2])


def _shares(results: Results, kind: str) -> list[str]:
    """The shares as asked of first samples and, where there is a choice, of the best."""
    names = dict.fromkeys(f"success/dalle_best_of_{number}{kind}" for number in (1, _most(results)))
    return [f"{results.number('complete', name):.0%}" for name in names]
