"""Which votes count: every rule in one order, every vote that does not count with the first rule that it breaks.

Rules are about rows, then about a rater's answers to one pair, then about raters as a whole, then about how many votes a pair
needs. Those about raters look at what the rules before have left, all at once: dropping one rater acquits no other.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from dalle.human_eval.answer_key import PAIR, REPEAT, right_choice
from dalle.human_eval.votes import CHOICES

RATER_ID = re.compile(r"[\w.@-]+", re.ASCII)
MOST_QUOTED = 40  # letters of a cell in a detail
COUNTED, CHECK = "counted", "check"  # what becomes of a vote that no rule drops
KEYED = ["batch", "kind", "caption_id", "left", "right"]


@dataclass(frozen=True, kw_only=True)
class VoteRules:
    """Shares of a rater's answers beyond which none of theirs count; None: whatever the share.

    `max_fast`: on pairs of which both answers together took less than `min_milliseconds` (the paper's tasks were of a pair).
    `max_failed_attention`: wrong, where a pair has a right answer.
    `max_against_others`: against the majority of the others. `max_inconsistent`: another model the second time. `min_judged`:
    answers below which the first and the third are not asked. `min_votes`: of a caption, for it to have an outcome.
    """

    min_milliseconds: int
    max_fast: float | None
    max_failed_attention: float | None
    max_against_others: float | None
    max_inconsistent: float | None
    min_judged: int
    min_votes: int

    def __post_init__(self) -> None:
        for name in ("max_fast", "max_failed_attention", "max_against_others", "max_inconsistent"):
            share = getattr(self, name)
            if share is not None and not 0 <= share < 1:
                raise ValueError(f"{name} must be a share from 0 to less than 1, or null for any, got {share}")
        for name in ("min_milliseconds", "min_judged", "min_votes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


Found = Iterator[tuple[int, str]]  # row labels of votes that break a rule, and how
Rule = Callable[[pd.DataFrame, pd.DataFrame, VoteRules, int], Found]


def check_votes(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> pd.DataFrame:
    """`votes` of `read_votes` with what became of each: `outcome` is COUNTED, CHECK or the name of a rule, `detail` why.

    Also with KEYED of the key (text) and `model`, the name behind the choice (`neither` is nobody's); empty where the pair is
    unknown. A pair needs as many as `raters` raters.
    """
    keyed = votes.merge(key[["pair_id", *KEYED]].astype(str), on="pair_id", how="left").fillna({name: "" for name in KEYED})
    keyed["model"] = [_model(*row) for row in keyed[["choice", "left", "right"]].itertuples(index=False)]
    keyed["seconds"] = [_seconds(text) for text in keyed["answered_at"]]
    keyed["duration"] = [int(text) if _is_count(text) else -1 for text in keyed["milliseconds"]]
    keyed["outcome"], keyed["detail"] = "", ""
    for name, rule in RULES.items():
        found = dict(rule(keyed[keyed["outcome"] == ""], key, rules, raters))
        assert (keyed.loc[list(found), "outcome"] == "").all(), "a rule sees what the rules before have left"
        keyed.loc[list(found), "outcome"] = name
        keyed.loc[list(found), "detail"] = list(found.values())
    left = keyed["outcome"] == ""
    keyed.loc[left, "outcome"] = np.where(keyed.loc[left, "kind"] == PAIR, COUNTED, CHECK)
    assert len(keyed) == len(votes), "every vote is counted, a check or dropped"
    return keyed


def rater_shares(votes: pd.DataFrame, rules: VoteRules) -> pd.DataFrame:
    """By rater_id the counts behind the rules about raters: a column each for how many answers, and how many of them.

    `answers, fast, attention, failed, compared, against, repeats, inconsistent`, of votes with the columns of `check_votes`.
    """
    fast = votes.groupby(["rater_id", "pair_id"])["duration"].transform("sum") < rules.min_milliseconds
    wanted = [right_choice(*row) for row in votes[["kind", "question", "left"]].itertuples(index=False)]
    asked = pd.Series([choice is not None for choice in wanted], index=votes.index, dtype=bool)
    failed = asked & (votes["choice"] != pd.Series(wanted, index=votes.index, dtype=object))
    others = _majority_of_others(votes)
    again = _first_answers(votes)
    flags = {
        "answers": pd.Series(True, index=votes.index),
        "fast": fast,
        "attention": asked,
        "failed": failed,
        "compared": others.notna(),
        "against": others.notna() & (others != votes["model"]),
        "repeats": again.notna(),
        "inconsistent": again.notna() & (again != votes["model"]),
    }
    return pd.DataFrame(flags).groupby(votes["rater_id"]).sum().astype(int)


def _malformed(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> Found:
    for row in votes.itertuples():
        if row.problem:
            yield row.Index, row.problem
        elif not RATER_ID.fullmatch(row.rater_id):
            yield row.Index, f"rater_id {_quoted(row.rater_id)} is not of letters, digits and - _ . @"
        elif row.duration < 0:
            yield row.Index, f"milliseconds {_quoted(row.milliseconds)} is not a whole number"
        elif row.seconds is None or np.isnan(row.seconds):
            yield row.Index, f"answered_at {_quoted(row.answered_at)} is not a time as the page writes it"


def _unknown_sheet(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> Found:
    known = set(key["sheet_id"])
    for row in votes[~votes["sheet_id"].isin(known)].itertuples():
        yield row.Index, f"no sheet here is called {_quoted(row.sheet_id)}"


def _unknown_pair(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> Found:
    sheet_of = dict(zip(key["pair_id"], key["sheet_id"], strict=True))
    for row in votes.itertuples():
        sheet = sheet_of.get(row.pair_id)
        if sheet is None:
            made = "made with another seed or other pictures"
            yield row.Index, f"sheet {row.sheet_id} has no pair {_quoted(row.pair_id)}: {made}"
        elif sheet != row.sheet_id:
            yield row.Index, f"pair {row.pair_id} is on sheet {sheet}, not on {row.sheet_id}"


def _unknown_question(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> Found:
    for row in votes[~votes["question"].isin(CHOICES)].itertuples():
        yield row.Index, f"question {_quoted(row.question)} is not one of {', '.join(CHOICES)}"


def _unknown_choice(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> Found:
    for row in votes.itertuples():
        if row.choice not in CHOICES[row.question]:
            yield row.Index, f"choice {_quoted(row.choice)} is not one of {', '.join(CHOICES[row.question])}"


def _contradiction(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> Found:
    answers = votes.groupby(["rater_id", "pair_id", "question"])["choice"].transform("nunique")
    for row in votes[answers > 1].itertuples():
        yield row.Index, "the same rater has chosen otherwise of the same pair"


def _duplicate(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> Found:
    ordered = _by_time(votes)
    for row in ordered[ordered.duplicated(["rater_id", "pair_id", "question"])].sort_index().itertuples():
        yield row.Index, "the same vote again; the earliest counts"


def _second_sheet(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> Found:
    """A rater sees each pair once: of two sheets of a batch under one rater id, the one that was begun first counts."""
    begun = votes.groupby(["rater_id", "batch", "sheet_id"])["seconds"].min().reset_index()
    begun = begun.sort_values(["seconds", "sheet_id"]).drop_duplicates(["rater_id", "batch"])
    first = dict(zip(zip(begun["rater_id"], begun["batch"], strict=True), begun["sheet_id"], strict=True))
    for row in votes.itertuples():
        sheet = first[row.rater_id, row.batch]
        if row.sheet_id != sheet:
            yield row.Index, f"rater {row.rater_id} has voted on the same pairs before, on sheet {sheet}"


def _missing_question(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> Found:
    answered = votes.groupby(["rater_id", "pair_id"])["question"].transform("nunique")
    for row in votes[answered < len(CHOICES)].itertuples():
        other = next(question for question in CHOICES if question != row.question)
        yield row.Index, f"the pair's other question, {other}, has no valid answer"


def _about_raters(part: str, of: str, limit: str, words: str, judged: bool) -> Rule:
    def rule(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> Found:
        most = getattr(rules, limit)
        if most is None or votes.empty:
            return
        shares = rater_shares(votes, rules)
        least = rules.min_judged if judged else 1
        broken = shares[(shares[of] >= least) & (shares[part] > most * shares[of])]
        for row in votes[votes["rater_id"].isin(broken.index)].itertuples():
            count, over = broken.at[row.rater_id, part], broken.at[row.rater_id, of]
            yield row.Index, f"{count} of {over} {words.format(rules.min_milliseconds)}, more than {most:.0%}"

    return rule


def _extra_vote(votes: pd.DataFrame, key: pd.DataFrame, rules: VoteRules, raters: int) -> Found:
    """Of a caption, the first raters count, with both of their answers."""
    pairs = votes[votes["kind"] == PAIR]
    begun = pairs.groupby(["caption_id", "rater_id"])["seconds"].min().reset_index()
    begun = begun.sort_values(["seconds", "rater_id"])
    late = begun[begun.groupby("caption_id").cumcount() >= raters]
    dropped = set(zip(late["caption_id"], late["rater_id"], strict=True))
    for row in pairs.itertuples():
        if (row.caption_id, row.rater_id) in dropped:
            yield row.Index, f"{raters} raters have voted on this caption before"


# applied from the first to the last; a vote is dropped by the first that it breaks
RULES: Mapping[str, Rule] = {
    "malformed": _malformed,
    "unknown_sheet": _unknown_sheet,
    "unknown_pair": _unknown_pair,
    "unknown_question": _unknown_question,
    "unknown_choice": _unknown_choice,
    "contradiction": _contradiction,
    "duplicate": _duplicate,
    "second_sheet": _second_sheet,
    "missing_question": _missing_question,
    "failed_attention": _about_raters(
        "failed", "attention", "max_failed_attention", "answers wrong that have a right one", judged=False
    ),
    "too_fast": _about_raters("fast", "answers", "max_fast", "answers on pairs answered in less than {} ms", judged=True),
    "against_others": _about_raters(
        "against", "compared", "max_against_others", "votes against the majority of the others", judged=True
    ),
    "inconsistent": _about_raters(
        "inconsistent", "repeats", "max_inconsistent", "answers another when the pair came again, sides swapped", judged=False
    ),
    "extra_vote": _extra_vote,
}


def _majority_of_others(votes: pd.DataFrame) -> pd.Series:
    """What more than half of the other raters of the caption chose; missing without two of them, or without a majority."""
    pairs = votes[votes["kind"] == PAIR]
    found = pd.Series(None, index=votes.index, dtype=object)
    for _, group in pairs.groupby(["caption_id", "question"], sort=False):
        counts = Counter(group["model"])
        for row, model in group["model"].items():
            (most, number), *_ = (counts - Counter([model])).most_common(1) or [(None, 0)]
            if len(group) > 2 and number * 2 > len(group) - 1:
                found[row] = most
    return found


def _first_answers(votes: pd.DataFrame) -> pd.Series:
    """For votes on repeats the model that the rater chose when the pair came unswapped; missing for all others."""
    once = votes[votes["kind"] == PAIR]
    over = ["rater_id", "sheet_id", "caption_id", "question"]
    first = dict(zip(once[over].itertuples(index=False, name=None), once["model"], strict=True))
    found = pd.Series(None, index=votes.index, dtype=object)
    again = votes[votes["kind"] == REPEAT]
    for row, asked in zip(again.index, again[over].itertuples(index=False, name=None), strict=True):
        found[row] = first.get(asked)
    return found


def _by_time(votes: pd.DataFrame) -> pd.DataFrame:
    return votes.sort_values("seconds", kind="stable")


def _model(choice: str, left: str, right: str) -> str:
    return {"left": left, "right": right}.get(choice, choice) if left else ""


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _seconds(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 time, which is UTC where it does not say; None for anything else."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _quoted(cell: str) -> str:
    return repr(cell if len(cell) <= MOST_QUOTED else cell[:MOST_QUOTED] + "…")
