"""How much may be wrong with a source before the work stops."""

from dalle.config import LinesError
from dalle.data.text_files import escaped

MAX_PROBLEM_FRACTION = 0.01
NUM_SHOWN = 20


class Note(str):
    """A line among a source's problems about what is left on purpose: printed as they are, and no problem."""


def without_notes(problems: list[str]) -> list[str]:
    return [problem for problem in problems if not isinstance(problem, Note)]


def require_few_problems(problems: list[str], num_pairs: int, source: str) -> None:
    """Raise a `ValueError` listing the first problems if no pair is left or more than 1 % as many problems as pairs exist.

    Large collections always have a few broken entries, which are reported and set aside; more than that means a wrong
    folder or an interrupted download, and training on the rest would hide it.
    """
    problems = without_notes(problems)
    if num_pairs and len(problems) <= MAX_PROBLEM_FRACTION * num_pairs:
        return
    shown = "".join(f"\n  {escaped(problem)}" for problem in problems[:NUM_SHOWN])
    more = f"\n  ... and {len(problems) - NUM_SHOWN} more" if len(problems) > NUM_SHOWN else ""
    raise LinesError(
        f"{source}: {len(problems)} problems beside {num_pairs} usable pairs, more than {MAX_PROBLEM_FRACTION:.0%}; "
        f"restore the files, or take out what lists them:{shown}{more}"
    )
