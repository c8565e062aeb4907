"""What the arms of an ablation measured, by group, and the verdicts that follow from it."""

import difflib
import json
import math
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dalle.config import ConfigError
from dalle.report.headlines import Headline, value_of
from harness.ablation_document import Document, Group
from harness.ablation_runs import Outcome
from harness.revisions import Revision
from harness.sentences import Entry, Sentence, Verdict, judge
from harness.variants import Variant, variants_of_revisions


@dataclass(frozen=True, kw_only=True)
class AblationResults:
    """`outcomes` are those of `document.arms`, in their order."""

    document: Document
    outcomes: Sequence[Outcome]

    @cached_property
    def variants(self) -> dict[int, Variant]:
        """What each arm that left results has to show of its own."""
        found = {index: outcome.experiment for index, outcome in enumerate(self.outcomes) if outcome.experiment is not None}
        return dict(zip(found, variants_of_revisions(list(found.values())), strict=True))

    def value(self, arm: int, metric: Headline) -> float | None:
        return value_of(self.variants[arm].metrics.get(metric.stage, {}), metric.key) if arm in self.variants else None

    def entries(self, group: Group, metric: Headline | None) -> list[Entry]:
        return [
            Entry(
                label=place.label,
                x=place.x,
                value=self.value(place.arm, metric) if metric else None,
                state=self.outcomes[place.arm].state,
            )
            for place in group.places
        ]

    def spread(self, metric: Headline) -> float:
        """Two standard deviations of a difference of two arms, from the base's seeds; 0 where fewer than two left a value."""
        values = [value for place in self.document.seeds if (value := self.value(place.arm, metric)) is not None]
        return 2 * math.sqrt(2) * statistics.stdev(values) if len(values) > 1 else 0.0

    def verdicts(self) -> list[tuple[Sentence, Verdict]]:
        return [(sentence, self._judged(sentence)) for sentence in self.document.sentences]

    def _judged(self, sentence: Sentence) -> Verdict:
        metric = next((metric for metric in self.document.metrics if metric.address == sentence.metric), None)
        entries = self.entries(self.document.group(sentence.group), metric)
        spread = self.spread(metric) if metric else 0.0
        return judge(sentence.rule, entries, spread, lambda value: shown(value, metric))

    @cached_property
    def seconds(self) -> dict[int, float]:
        """How long each arm's target took, and whatever before it no other arm shares; empty where DVC's cache lost it."""
        revisions = [outcome.experiment for outcome in self.outcomes if outcome.experiment is not None]
        folder = _cache_folder() if revisions else Path()
        records = {revision.name: _records(revision) for revision in revisions}
        uses = Counter(md5 for record in records.values() for md5 in record.values())

        def times(record: Mapping[str, str]) -> list[float | None]:
            target = self.document.target
            own = [md5 for stage, md5 in record.items() if target in (stage, stage.partition("@")[0]) or uses[md5] == 1]
            return [_seconds(folder, md5) for md5 in own]

        found = {
            index: times(records[outcome.name]) for index, outcome in enumerate(self.outcomes) if outcome.experiment is not None
        }
        return {index: sum(seconds) for index, seconds in found.items() if None not in seconds}


def shown(value: float, metric: Headline | None) -> str:
    return f"{value:{metric.digits if metric else '.4g'}}".replace("-", "−")


def require_metrics(document: Document, outcome: Outcome) -> None:
    """A metric that no stage reports is an error after the first arm, not after the last."""
    if outcome.experiment is None:
        return
    found = variants_of_revisions([outcome.experiment])[0].metrics
    for metric in document.metrics:
        keys = found.get(metric.stage, {})
        if value_of(keys, metric.key) is None:
            close = difflib.get_close_matches(metric.key, keys, n=3) or list(keys)[:12]
            raise ConfigError(f"metrics: {metric.address}: {outcome.name} has no such metric (there are: {', '.join(close)})")


def _records(revision: Revision) -> dict[str, str]:
    """For each stage the md5 of its run's record in DVC's cache."""
    outs = [(stage, out) for stage, entry in revision.lock.items() for out in entry.get("outs") or []]
    return {stage: out["md5"] for stage, out in outs if out["path"] == f"runs/{stage.replace('@', '-')}.json"}


def _cache_folder() -> Path:
    done = subprocess.run([sys.executable, "-m", "dvc", "cache", "dir"], capture_output=True, text=True)
    return Path(done.stdout.strip() or ".dvc/cache")


def _seconds(cache: Path, md5: str | None) -> float | None:
    try:
        return float(json.loads((cache / "files/md5" / md5[:2] / md5[2:]).read_text())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
