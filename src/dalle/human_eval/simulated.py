"""Raters made of rules and noise, who vote on the sheets where no people have: so that all that follows a vote can be tried.

They are told by the miniature world's reader whether a picture shows its caption, and by features how real it looks. What they
say of two models is what these two measures say, with noise: it is no human judgement, and is called SIMULATED wherever it is
shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dalle.human_eval.answer_key import PAIR
from dalle.human_eval.votes import COLUMNS
from dalle.randomness import numpy_generator

BEGUN = datetime(2021, 2, 24, 9, tzinfo=UTC)  # a made-up day, so that the files are the same each time
ENDED = timedelta(hours=12)  # after which somebody else is given the sheet of a careless rater
MEDIAN_MILLISECONDS = {"realism": 7500, "match": 6000}
SPREAD_OF_TIMES = 0.35  # of their logarithm
CARELESS_MILLISECONDS = (300, 1500)
CARELESS_LEFT = 0.6  # of a careless rater's choices between two sides
UNREAL = -8.0  # deviations below the mean: how real noise looks


@dataclass(frozen=True, kw_only=True)
class SimulatedRaters:
    """`realism_noise`: of a judgement, in standard deviations of realism among the pictures; a rater's own is around it.

    `misread`: how often a rater is wrong on whether a picture shows the caption. `neither`: how often nobody is preferred where
    neither does. `side_bias`: between raters, of a preference for the left, in the same deviations. `careless`: as many sheets
    go first to raters who click fast and anywhere. `neighbourhood`: as for precision and recall.
    """

    realism_noise: float
    misread: float
    neither: float
    side_bias: float
    careless: int
    neighbourhood: int

    def __post_init__(self) -> None:
        for name in ("misread", "neither"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a share from 0 to 1, got {getattr(self, name)}")
        for name in ("realism_noise", "side_bias", "careless"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.neighbourhood < 1:
            raise ValueError(f"neighbourhood must be at least 1, got {self.neighbourhood}")


class Seen(NamedTuple):
    """What a picture is to a rater: how real, in standard deviations; whether it shows the caption, None if unreadable."""

    realism: float
    shows: bool | None


Pictures = Mapping[tuple[str, str], Seen]  # by name of the model (or real) and caption_id


def simulate_votes(key: pd.DataFrame, pictures: Pictures, config: SimulatedRaters, seed: int) -> dict[str, pd.DataFrame]:
    """Rater ids and their votes, COLUMNS: one rater a sheet, and a second one where the first is careless."""
    sheets = key["sheet_id"].drop_duplicates().tolist()
    drawn = numpy_generator(seed, "careless raters").permutation(len(sheets))[: config.careless]
    careless = {sheets[index] for index in drawn.tolist()}
    votes = {}
    for sheet_id, items in key.groupby("sheet_id", sort=False):
        items = items.sort_values("position")
        if sheet_id in careless:
            votes[f"simulated-{sheet_id}-careless"] = _vote(items, BEGUN, _careless, f"simulated-{sheet_id}-careless", seed)
        begun = BEGUN + ENDED if sheet_id in careless else BEGUN
        rater = _Rater(pictures, config, seed, f"simulated-{sheet_id}")
        votes[rater.name] = _vote(items, begun, rater, rater.name, seed)
    return votes


def write_votes(votes: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """A file a rater and sheet, as the page exports it."""
    folder.mkdir(parents=True)
    for rater_id, of_rater in votes.items():
        of_rater.to_csv(folder / f"votes-{of_rater['sheet_id'].iloc[0]}-{rater_id}.csv", index=False, lineterminator="\r\n")


class _Rater:
    """One reader with noise, bias and errors of their own; called with a pair and a question, gives choice and milliseconds."""

    def __init__(self, pictures: Pictures, config: SimulatedRaters, seed: int, name: str) -> None:
        rng = numpy_generator(seed, "simulated rater", name)
        self.name, self._pictures, self._config, self._seed = name, pictures, config, seed
        self._noise = config.realism_noise * float(np.exp(0.3 * rng.standard_normal()))
        self._bias = config.side_bias * float(rng.standard_normal())

    def __call__(self, item, question: str, rng: np.random.Generator) -> tuple[str, int]:
        left, right = (self._see(side, item.caption_id) for side in (item.left, item.right))
        more_real = self._more_real(left, right, rng)
        choice = more_real if question == "realism" else self._better_match(item, left, right, more_real)
        median = MEDIAN_MILLISECONDS[question]
        return choice, round(median * float(np.exp(SPREAD_OF_TIMES * rng.standard_normal())))

    def _see(self, name: str, caption_id: str) -> Seen:
        if name == "noise":
            return Seen(UNREAL, False)
        if name == "other":  # a real picture, as real as the one of the caption beside it, of something else
            return Seen(self._pictures["real", caption_id].realism, False)
        return self._pictures[name, caption_id]

    def _more_real(self, left: Seen, right: Seen, rng: np.random.Generator) -> str:
        difference = left.realism - right.realism + self._bias + self._noise * float(rng.standard_normal())
        return "left" if difference > 0 else "right"

    def _better_match(self, item, left: Seen, right: Seen, more_real: str) -> str:
        """The picture that shows the caption, as this rater reads it; the more real one where that decides nothing.

        A misreading stays: who is shown the pair again reads it the same way.
        """
        if left.shows is None or right.shows is None:
            return more_real
        shown = [seen.shows != self._misreads(item, name) for seen, name in ((left, item.left), (right, item.right))]
        if shown[0] != shown[1]:
            return "left" if shown[0] else "right"
        reading = numpy_generator(self._seed, "preference", self.name, item.caption_id)
        return "neither" if not any(shown) and reading.random() < self._config.neither else more_real

    def _misreads(self, item, name: str) -> bool:
        return numpy_generator(self._seed, "misreading", self.name, item.caption_id, name).random() < self._config.misread


def _careless(item, question: str, rng: np.random.Generator) -> tuple[str, int]:
    return ("left" if rng.random() < CARELESS_LEFT else "right"), int(rng.integers(*CARELESS_MILLISECONDS))


def _vote(items: pd.DataFrame, begun: datetime, rater, rater_id: str, seed: int) -> pd.DataFrame:
    """All pairs of a sheet in its order, repeats and checks included: a rater cannot tell them."""
    rng, time, rows = numpy_generator(seed, "simulated votes", rater_id), begun, []
    for item in items.itertuples():
        for question in ("realism", "match"):
            choice, milliseconds = rater(item, question, rng)
            time += timedelta(milliseconds=milliseconds)
            answered_at = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            rows.append((item.sheet_id, rater_id, item.pair_id, question, choice, milliseconds, answered_at))
    return pd.DataFrame(rows, columns=COLUMNS)


def unreadable_captions(key: pd.DataFrame, pictures: Pictures, model: str) -> int:
    """Captions of pairs that the reader cannot read: raters answer both questions by how real pictures look."""
    captions = key[key["kind"] == PAIR]["caption_id"].drop_duplicates()
    return sum(pictures[model, caption_id].shows is None for caption_id in captions)
