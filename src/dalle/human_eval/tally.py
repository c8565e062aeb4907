"""Counted votes -> what each caption's raters decided, and the numbers of Fig. 7."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dalle.human_eval.answer_key import NOISE, OTHER_CAPTION, PAIR
from dalle.human_eval.checks import CHECK, COUNTED, RULES, VoteRules, rater_shares
from dalle.human_eval.statistics import krippendorff_alpha, raw_agreement, vote_share, wilson
from dalle.human_eval.votes import CHOICES, PLACE

PARTIES = ("ours", "rival", "neither")
NO_MAJORITY, TOO_FEW = "none", "too_few"
PEOPLE, SIMULATED = "people", "SIMULATED"  # who voted: said in every file
CAPTION_COLUMNS = ("caption_id", "question", "votes", *PARTIES, "majority", "raters")
DROPPED_COLUMNS = (*PLACE, "rater_id", "pair_id", "question", "rule", "detail", "raters")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def caption_table(checked: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, *, model: str, rival: str) -> pd.DataFrame:
    """A row for every question and caption of the key, in its order: `caption_id, question, votes, PARTIES, majority`.

    The majority is the party with more than half of the votes cast, or NO_MAJORITY; with fewer than `min_votes` TOO_FEW.
    """
    captions = key[key["kind"] == PAIR]["caption_id"].drop_duplicates()
    names = {"ours": model, "rival": rival, "neither": "neither"}
    counted = checked[checked["outcome"] == COUNTED]
    over = pd.MultiIndex.from_product([CHOICES, captions], names=["question", "caption_id"])
    numbers = counted.groupby(["question", "caption_id", "model"]).size()
    columns = {}
    for party, name in names.items():
        of_party = numbers[numbers.index.get_level_values("model") == name].droplevel("model")
        columns[party] = of_party.reindex(over, fill_value=0)
    table = pd.DataFrame(columns, index=over).astype(int)
    table.insert(0, "votes", table.sum(axis=1))
    assert table["votes"].sum() == len(counted), "every counted vote is somebody's"
    table["majority"] = [_majority(row, rules.min_votes) for row in table.itertuples()]
    return table.reset_index()[["caption_id", "question", "votes", *PARTIES, "majority"]]


def dropped_table(checked: pd.DataFrame) -> pd.DataFrame:
    """Every vote that is neither counted nor a check, as it stood in its file, with the rule; no cell is a formula."""
    dropped = checked[~checked["outcome"].isin((COUNTED, CHECK))].rename(columns={"outcome": "rule"})
    dropped = dropped[list(DROPPED_COLUMNS[:-1])]
    return dropped.assign(**{name: dropped[name].map(as_text) for name in dropped if name != "row"})


def as_text(cell: str) -> str:
    """What a spreadsheet shows as it is: an apostrophe keeps it from computing what votes of unknown origin hold."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def vote_metrics(
    checked: pd.DataFrame,
    captions: pd.DataFrame,
    key: pd.DataFrame,
    rules: VoteRules,
    *,
    raters: int,
    resamples: int,
    seed: int,
) -> dict[str, float]:
    """Flat metrics: what became of the votes, who voted, and by question shares, intervals and agreement.

    What cannot be said of the votes at hand (agreement where nobody has voted) has no key.
    """
    outcomes = checked["outcome"].value_counts()
    dropped = {f"dropped/{rule}": int(outcomes.get(rule, 0)) for rule in RULES}
    metrics: dict[str, float] = {
        "votes/read": len(checked),
        "votes/counted": int(outcomes.get(COUNTED, 0)),
        "votes/checks": int(outcomes.get(CHECK, 0)),
        "votes/dropped": sum(dropped.values()),
        **dropped,
        **_sheets(checked, key),
    }
    assert metrics["votes/read"] == metrics["votes/counted"] + metrics["votes/checks"] + metrics["votes/dropped"]
    valid = checked[checked["outcome"].isin((COUNTED, CHECK))]
    metrics |= _quality(valid, rules)
    for question in CHOICES:
        rows = captions[captions["question"] == question]
        metrics |= {f"{question}/{name}": value for name, value in _question(rows, question, raters, resamples, seed)}
    return {name: value for name, value in metrics.items() if not np.isnan(value)}


def _majority(row, min_votes: int) -> str:
    if row.votes < min_votes:
        return TOO_FEW
    return next((party for party in PARTIES if 2 * getattr(row, party) > row.votes), NO_MAJORITY)


def _sheets(checked: pd.DataFrame, key: pd.DataFrame) -> Mapping[str, int]:
    known = checked[~checked["outcome"].isin(("malformed", "unknown_sheet", "unknown_pair"))]
    valid = checked[checked["outcome"].isin((COUNTED, CHECK))]
    by_sheet = valid.groupby("sheet_id")["rater_id"].nunique()
    return {
        "sheets/total": key["sheet_id"].nunique(),
        "sheets/voted": len(by_sheet),
        "sheets/by_several_raters": int((by_sheet > 1).sum()),
        "raters/total": known["rater_id"].nunique(),
        "raters/counted": valid["rater_id"].nunique(),
    }


def _quality(valid: pd.DataFrame, rules: VoteRules) -> Mapping[str, float]:
    """Of the raters that count: attention, consistency, and the side they lean to."""
    shares = rater_shares(valid, rules).sum()
    forced = valid[(valid["kind"] == PAIR) & valid["choice"].isin(("left", "right"))]
    found: dict[str, float] = {"attention/answers": int(shares["attention"]), "repeats/answers": int(shares["repeats"])}
    if shares["attention"]:
        found["attention/right"] = 1 - shares["failed"] / shares["attention"]
    if shares["repeats"]:
        found["repeats/consistent"] = 1 - shares["inconsistent"] / shares["repeats"]
    if len(forced):
        left = int((forced["choice"] == "left").sum())
        low, high = wilson(left, len(forced))
        found |= {"side/left": left / len(forced), "side/left_low": low, "side/left_high": high}
    return found


def _question(rows: pd.DataFrame, question: str, raters: int, resamples: int, seed: int):
    decided = rows[rows["majority"] != TOO_FEW]
    yield "captions", len(decided)
    yield "too_few_votes", len(rows) - len(decided)
    yield "fewer_than_all_votes", int((decided["votes"] < raters).sum())
    if decided.empty:
        return
    for outcome in (*PARTIES, NO_MAJORITY):
        number = int((decided["majority"] == outcome).sum())
        low, high = wilson(number, len(decided))
        yield f"majority_{outcome}", number / len(decided)
        yield f"majority_{outcome}_low", low
        yield f"majority_{outcome}_high", high
    chosen, votes = decided["ours"].to_numpy(), decided["votes"].to_numpy()
    share, low, high = vote_share(chosen, votes, resamples=resamples, seed=seed, what=question)
    yield from (("votes_ours", share), ("votes_ours_low", low), ("votes_ours_high", high))
    counts = decided[list(PARTIES)].to_numpy()
    yield "agreement", raw_agreement(counts)
    yield "alpha", krippendorff_alpha(counts)
