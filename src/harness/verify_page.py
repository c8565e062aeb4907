"""What `dalle verify` prints: counts, what stands out, and on demand everything."""

from collections.abc import Iterator, Sequence

from harness.verify import BEYOND, DIFFERENT, EQUAL, MISSING, OUTSIDE, SAME, WITHIN, Metric, Verification, counts

OUT_WORDS = {SAME: "the same bytes", DIFFERENT: "other bytes", MISSING: "missing on one side"}
METRIC_WORDS = {
    EQUAL: "equal",
    WITHIN: "within the seeds' spread",
    BEYOND: "beyond three standard deviations, as some of so many numbers are",
    OUTSIDE: "outside",
    MISSING: "missing on one side",
}
QUIET = {EQUAL, WITHIN}
COLUMNS = ("metric", "here", "there", "seeds' mean", "spread", "off by", "verdict")
SIDES = "<>>>>><"  # to which each column is aligned
MAX_NOTES = 12  # of one kind many lines say no more


def terminal_lines(found: Verification, *, everything: bool, strict: bool) -> Iterator[str]:
    """Counts, the outs that are not the same bytes, and a table of the numbers that stand out; `everything` leaves none out."""
    yield f"this workspace against {found.against}"
    notes = found.notes if everything else found.notes[:MAX_NOTES]
    yield from (f"NOTE: {note}" for note in notes)
    if len(notes) < len(found.notes):
        yield f"NOTE: and {len(found.notes) - len(notes)} more (--all shows them)"
    yield f"outs: {_counted(counts(found.outs), OUT_WORDS)}"
    for out in found.outs:
        if everything or out.state != SAME:
            yield f"  {OUT_WORDS[out.state]:20} {out.path}"
    yield f"metrics: {_counted(counts(found.metrics), METRIC_WORDS)}"
    shown = [metric for metric in found.metrics if everything or metric.state not in QUIET]
    yield from _table(shown)
    failures = found.failures(strict)
    yield f"FAILED: {len(failures)} outside or missing" if failures else "PASSED: nothing lies outside or is missing"


def _counted(number: dict[str, int], words: dict[str, str]) -> str:
    return ", ".join(f"{number[state]} {text}" for state, text in words.items() if state in number) or "none"


def _table(metrics: Sequence[Metric]) -> Iterator[str]:
    """Plain columns, as wide as what stands in them; nothing where there are no rows."""
    rows = [_row(metric) for metric in metrics]
    if not rows:
        return
    widths = [max(len(row[column]) for row in (COLUMNS, *rows)) for column in range(len(COLUMNS))]
    for row in (COLUMNS, *rows):
        cells = [f"{cell:{side}{width}}" for cell, side, width in zip(row, SIDES, widths, strict=True)]
        yield f"  {'  '.join(cells)}".rstrip()


def _row(metric: Metric) -> tuple[str, ...]:
    limits = metric.limits
    mean, spread = (limits.center, limits.spread) if limits else (None, None)
    deviations = metric.deviations
    off = "" if deviations is None else f"{deviations:+.1f} s"
    verdict = metric.state + (f": {metric.why}" if metric.why else "")
    return metric.key, _number(metric.here), _number(metric.there), _number(mean), _number(spread, 2), off, verdict


def _number(value: float | None, digits: int = 5) -> str:
    return "-" if value is None else f"{value:.{digits}g}"
