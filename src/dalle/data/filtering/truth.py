"""How well the rules find the junk that was planted on purpose."""

from collections.abc import Iterable

import pandas as pd


def score_against_truth(dropped: pd.DataFrame, truth: pd.DataFrame, rules: Iterable[str]) -> dict[str, float]:
    """`truth/RULE/precision` and `truth/RULE/recall` of the `rules`, from `dropped` and the truth's `pair_id, junk`.

    A pair counts as found only by the rule of its own kind of junk. A rule that dropped nothing has no precision, one that
    had nothing to find neither of the two: these keys are left out.
    """
    unknown = sorted(set(dropped.pair_id) - set(truth.pair_id))
    if unknown:
        raise ValueError(f"the truth belongs to other data: it lacks {len(unknown)} of the dropped pairs, first {unknown[0]!r}")
    junk = truth.set_index("pair_id").junk
    scores: dict[str, float] = {}
    for rule in rules:
        found = dropped.pair_id[dropped.rule == rule]
        num_right, num_planted = int((junk[found] == rule).sum()), int((junk == rule).sum())
        if len(found) and num_planted:
            scores[f"truth/{rule}/precision"] = num_right / len(found)
        if num_planted:
            scores[f"truth/{rule}/recall"] = num_right / num_planted
    return scores
