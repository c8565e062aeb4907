"""A manifest through the rules that are switched on, part by part."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dalle.data.filtering.parts import Parts, verdicts_of
from dalle.data.filtering.rule_list import RULES, FilterConfig, rules_on
from dalle.processes import Processes


def filter_pairs(
    manifest: Path,
    config: FilterConfig,
    *,
    folder: Path,
    processes: int,
    clip_scores: Callable[[pd.DataFrame], np.ndarray] | None = None,
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """(kept pairs, dropped) of every part of the manifest; `dropped` has `pair_id, rule, detail`; both in its order.

    A pair is dropped by the first rule that objects, later rules do not see it. Finished work is kept in `folder`, which
    belongs to this manifest and these rules: another attempt goes on from the last finished part. No pair left is a
    `ValueError`.
    """
    with Processes(processes) as pool:
        parts = Parts(manifest, folder, processes=pool, clip_scores=clip_scores)
        apply_rules(parts, config)
    num_kept, counts = 0, Counter()
    for number in range(len(parts)):
        kept, dropped = parts.verdicts(number)
        num_kept += len(kept)
        counts.update(dropped.rule)
        yield kept, dropped
    if not num_kept:
        if not counts:
            raise ValueError("there are no pairs to filter: the manifest has no rows")
        found = ", ".join(f"{rule} {counts[rule]}" for rule in RULES if counts[rule])
        advice = "loosen the rule that drops most or check the data"
        raise ValueError(f"no pair of {counts.total()} is left ({found}); {advice}")


def apply_rules(parts: Parts, config: FilterConfig) -> None:
    """All rules in their order; those that see one pair at a time go over a part together."""
    for is_of_pairs, names in groupby(rules_on(config), lambda name: hasattr(RULES[name], "explain")):
        settings = {name: getattr(config, name) for name in names}
        if is_of_pairs:
            parts.drop(next(iter(settings)), partial(verdicts, settings=settings))
        else:
            for name, of_rule in settings.items():
                parts.drop_by(name, RULES[name].explain_all(parts, of_rule))


def verdicts(pairs: pd.DataFrame, settings: dict[str, Any]) -> np.ndarray:
    """What these rules drop of the pairs, as `verdicts_of`; a later rule does not see what an earlier one dropped."""
    found = []
    for name, config in settings.items():
        details = np.array(list(RULES[name].explain(pairs, config)), dtype=object)
        found.append(verdicts_of(pairs.index.to_numpy(), name, details))
        pairs = pairs[details == ""]
    return np.concatenate(found)
