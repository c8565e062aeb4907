"""Which votes count: every rule by an example, one order, and no vote without a reason."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voted_sheets import RULES, as_csv, small_key, table, votes_of

from dalle.human_eval import checks
from dalle.human_eval.checks import VoteRules, check_votes, rater_shares
from dalle.human_eval.tally import caption_table, dropped_table, vote_metrics
from dalle.human_eval.votes import read_votes

KEY = small_key()
PAIRS_A_SHEET = 6


def checked(rows, key=KEY, rules=RULES, raters=5):
    return check_votes(table(rows), key, rules, raters)


def outcomes(found):
    return dict(Counter(found["outcome"]))


def honest(**options):
    """One rater a sheet, all of one mind: 5 x (3 pairs and 3 others) x 2 questions."""
    return votes_of(KEY, lambda sheet: f"rater-{sheet}", **options)


def test_votes_without_fault_count_and_those_on_repeats_and_checks_are_checks():
    found = checked(honest())
    assert outcomes(found) == {"counted": 30, "check": 30}
    assert set(found.loc[found["outcome"] == "counted", "model"]) == {"dalle"}


CELLS = {name: index for index, name in enumerate(("sheet", "rater", "pair", "question", "choice", "milliseconds", "at"))}


@pytest.mark.parametrize(
    ("cell", "value", "rule", "detail"),
    [
        ("rater", "eve <b>", "malformed", "rater_id 'eve <b>' is not of letters"),
        ("rater", "", "malformed", "rater_id ''"),
        ("milliseconds", "fast", "malformed", "milliseconds 'fast' is not a whole number"),
        ("milliseconds", "-5", "malformed", "milliseconds '-5'"),
        ("milliseconds", "³", "malformed", "milliseconds"),
        ("at", "01/02/2026 10:15", "malformed", "answered_at '01/02/2026 10:15' is not a time"),
        ("sheet", "s99r1", "unknown_sheet", "no sheet here is called 's99r1'"),
        ("pair", "pOther", "unknown_pair", "sheet s01r1 has no pair 'pOther': made with another seed or other pictures"),
        ("pair", "ps01r2n1", "unknown_pair", "pair ps01r2n1 is on sheet s01r2, not on s01r1"),
        ("question", "beauty", "unknown_question", "'beauty' is not one of realism, match"),
        ("choice", "both", "unknown_choice", "'both' is not one of left, right"),
        ("choice", "neither", "unknown_choice", "'neither' is not one of left, right"),
    ],
)  # fmt: skip
def test_a_cell_that_cannot_be_is_named_and_takes_the_pairs_other_answer_with_it(cell, value, rule, detail):
    rows = honest()
    rows[0][CELLS[cell]] = value
    found = checked(rows)
    assert found.at[0, "outcome"] == rule and detail in found.at[0, "detail"]
    assert found.at[1, "outcome"] == "missing_question" and "realism, has no valid answer" in found.at[1, "detail"]
    assert outcomes(found) == {"counted": 28, "check": 30, rule: 1, "missing_question": 1}


def test_long_cells_are_quoted_in_part():
    rows = honest()
    rows[0][CELLS["sheet"]] = "x" * 10_000
    assert len(checked(rows).at[0, "detail"]) < 100


def test_a_vote_given_twice_counts_once_and_the_earliest_of_them():
    rows = honest()
    rows.insert(0, [*rows[0][:-1], "2026-01-02T00:00:00Z"])
    found = checked(rows)
    assert found.at[0, "outcome"] == "duplicate" and outcomes(found) == {"counted": 30, "check": 30, "duplicate": 1}
    twice = checked([*honest(), *honest()])  # the same files under two names
    assert outcomes(twice) == {"counted": 30, "check": 30, "duplicate": 60} and (twice["outcome"][60:] == "duplicate").all()


def test_of_contradicting_votes_none_counts():
    rows = honest()
    rows.append([*rows[0]])
    rows[-1][CELLS["choice"]] = "right"
    found = checked(rows)
    assert found.at[0, "outcome"] == found.at[60, "outcome"] == "contradiction"
    assert outcomes(found) == {"counted": 28, "check": 30, "contradiction": 2, "missing_question": 1}


def test_a_rater_id_on_two_sheets_of_a_batch_counts_on_the_one_begun_first():
    rows = honest()
    for row in rows:
        if row[0] == "s01r2":
            row[CELLS["rater"]], row[CELLS["at"]] = "rater-s01r1", row[CELLS["at"]].replace("T09", "T08")
    found = checked(rows)
    dropped = found[found["outcome"] == "second_sheet"]
    assert set(dropped["sheet_id"]) == {"s01r1"} and len(dropped) == 2 * PAIRS_A_SHEET
    assert dropped["detail"].iloc[0] == "rater rater-s01r1 has voted on the same pairs before, on sheet s01r2"


def test_a_rater_id_on_sheets_of_two_batches_is_as_the_protocol_has_it():
    key = small_key(num_batches=2)
    assert outcomes(checked(votes_of(key, lambda sheet: sheet[3:]), key)) == {"counted": 60, "check": 60}


def test_a_sheet_that_two_raters_had_counts_for_both_until_a_caption_has_enough():
    second = votes_of(KEY[KEY["sheet_id"] == "s01r1"], lambda sheet: "second", hour=12)
    late = checked([*second, *honest()])
    assert set(late.loc[late["outcome"] == "extra_vote", "rater_id"]) == {"second"}
    assert outcomes(late) == {"counted": 30, "check": 30 + 6, "extra_vote": 6}
    early = checked([*votes_of(KEY[KEY["sheet_id"] == "s01r1"], lambda sheet: "second", hour=8), *honest()])
    assert set(early.loc[early["outcome"] == "extra_vote", "rater_id"]) == {"rater-s01r5"}  # the last by the clock
    without = [row for row in honest() if row[0] != "s01r4"]
    assert outcomes(checked([*second, *without])) == {"counted": 30, "check": 30}
    metrics = metrics_of(checked([*second, *without]))
    assert metrics["sheets/by_several_raters"] == 1 and metrics["sheets/voted"] == 4 and metrics["raters/counted"] == 5


def test_a_rater_too_fast_to_have_looked_is_dropped_altogether():
    rows = honest()
    mine = [row for row in rows if row[0] == "s01r3"]
    for first, second in zip(mine[:10:2], mine[1:10:2], strict=True):  # both answers of a pair, together
        first[CELLS["milliseconds"]], second[CELLS["milliseconds"]] = "3000", "999"
    found = checked(rows)
    assert outcomes(found) == {"counted": 24, "check": 24, "too_fast": 12}
    assert found[found["outcome"] == "too_fast"]["detail"].iloc[0] == (
        "10 of 12 answers on pairs answered in less than 4000 ms, more than 80%"
    )
    for row in mine[1:10:2]:
        row[CELLS["milliseconds"]] = "1000"
    assert outcomes(checked(rows)) == {"counted": 30, "check": 30}
    few = replace(RULES, min_judged=13)
    for row in mine:
        row[CELLS["milliseconds"]] = "1"
    assert outcomes(checked(rows, rules=few)) == {"counted": 30, "check": 30}  # too few answers to judge by
    assert outcomes(checked(rows, rules=replace(RULES, max_fast=None))) == {"counted": 30, "check": 30}


def test_a_rater_who_fails_attention_checks_is_dropped_and_only_questions_with_an_answer_are_asked():
    rows = honest()
    checks_of = {"ps01r2n5": "noise", "ps01r2n6": "other"}
    for row in rows:
        if row[CELLS["pair"]] == "ps01r2n6" and row[CELLS["question"]] == "realism":
            row[CELLS["choice"]] = "right"  # which of two real pictures is more realistic has no right answer
    assert outcomes(checked(rows)) == {"counted": 30, "check": 30}
    for row in rows:
        if row[CELLS["pair"]] in checks_of and row[CELLS["question"]] == "match":
            row[CELLS["choice"]] = "neither"
    found = checked(rows)
    assert outcomes(found) == {"counted": 24, "check": 24, "failed_attention": 12}
    assert "2 of 3 answers wrong that have a right one, more than 50%" in set(found["detail"])


def test_a_rater_at_odds_with_the_others_is_dropped():
    rows = honest()
    for row in rows:
        item = KEY[KEY["pair_id"] == row[CELLS["pair"]]].iloc[0]
        if row[0] == "s01r5" and item["kind"] in ("pair", "repeat"):
            row[CELLS["choice"]] = {"left": "right", "right": "left"}[row[CELLS["choice"]]]
    found = checked(rows)
    assert outcomes(found) == {"counted": 24, "check": 24, "against_others": 12}
    assert "6 of 6 votes against the majority of the others, more than 50%" in set(found["detail"])


def test_a_rater_at_odds_with_themselves_is_dropped_where_asked():
    rows = honest()
    for row in rows:
        if row[CELLS["pair"]] == "ps01r1n4":  # the repeat
            row[CELLS["choice"]] = "left"
    assert outcomes(checked(rows)) == {"counted": 30, "check": 30}
    found = checked(rows, rules=replace(RULES, max_inconsistent=0.5))
    assert outcomes(found) == {"counted": 24, "check": 24, "inconsistent": 12}


def slow_majority_of_others(rows, rater, caption, question):
    """The party that more than half of the others chose, counted vote by vote."""
    others = [model for who, what, asked, model in rows if who != rater and (what, asked) == (caption, question)]
    leading = [model for model in set(others) if others.count(model) * 2 > len(others)]
    return leading[0] if leading and len(others) > 1 else None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(("left", "right", "neither")), min_size=15, max_size=15))
def test_shares_against_the_others_are_those_of_a_slow_count(choices):
    rows = [row for row in honest() if row[CELLS["question"]] == "match" and int(row[CELLS["pair"]][-1]) <= 3]
    for row, choice in zip(rows, choices, strict=True):
        row[CELLS["choice"]] = choice
    other = [[*row[:3], "realism", "left", *row[5:]] for row in rows]
    found = checked([*rows, *other], rules=replace(RULES, max_against_others=None))
    plain = list(found[["rater_id", "caption_id", "question", "model"]].itertuples(index=False, name=None))
    shares = rater_shares(found, RULES)
    for rater in set(found["rater_id"]):
        mine = [(vote, slow_majority_of_others(plain, *vote[:3])) for vote in plain if vote[0] == rater]
        judged = [(vote[3], others) for vote, others in mine if others is not None]
        assert shares.at[rater, "compared"] == len(judged)
        assert shares.at[rater, "against"] == sum(vote != others for vote, others in judged)


def test_rules_come_in_one_order_and_a_vote_is_dropped_by_the_first():
    row = ["s99r1", "", "pOther", "beauty", "both", "x", "y"]
    names = []
    for cell, good in (("rater", "eve"), ("milliseconds", "5000"), ("at", "2026-01-01T00:00:00"), ("sheet", "s01r1"),
                       ("pair", "ps01r1n1"), ("question", "match"), ("choice", "left")):  # fmt: skip
        names.append(checked([row]).at[0, "outcome"])
        row[CELLS[cell]] = good
    names.append(checked([row]).at[0, "outcome"])
    assert list(dict.fromkeys(names)) == ["malformed", "unknown_sheet", "unknown_pair", "unknown_question", "unknown_choice",
                                          "missing_question"]  # fmt: skip
    assert sorted(dict.fromkeys(names), key=list(checks.RULES).index) == list(dict.fromkeys(names))


def metrics_of(found, key=KEY):
    captions = caption_table(found, key, RULES, model="dalle", rival="dfgan")
    return vote_metrics(found, captions, key, RULES, raters=5, resamples=20, seed=0)


CELL = st.one_of(st.sampled_from(["", "s01r1", "rater-s01r1", "ps01r1n1", "match", "left", "neither", "9", "=1+1", "'", '""']),
                 st.text(st.characters(exclude_characters='"\r\n\0,', exclude_categories=["Cs"]), max_size=8))  # fmt: skip
BROKEN = st.one_of(
    st.lists(CELL, min_size=1, max_size=10),
    st.tuples(st.integers(0, 59), st.integers(0, 6), CELL).map(lambda change: tuple(change)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(BROKEN, max_size=12), st.lists(st.integers(0, 59), max_size=12), st.randoms(use_true_random=False))
def test_no_vote_is_lost_whatever_is_broken(tmp_path_factory, broken, repeated, order):
    """Every line that holds anything is counted, a check, or listed as dropped with a known rule: with its own line number."""
    rows = honest()
    rows += [list(rows[index]) for index in repeated]
    for change in broken:
        if isinstance(change, tuple):
            index, cell, value = change
            rows[index][cell] = value
        else:
            rows.append(change)
    order.shuffle(rows)
    folder = tmp_path_factory.mktemp("votes")
    half = len(rows) // 2
    for name, part in (("a.csv", rows[:half]), ("b.csv", rows[half:])):
        (folder / name).write_text(as_csv(part), encoding="utf-8", newline="")
    votes = read_votes(folder)
    found = check_votes(votes, KEY, RULES, 5)
    holding = sum(any(cell.strip().strip('"').removeprefix("'").strip() for cell in row) for row in rows)
    dropped = dropped_table(found)
    valid = found["outcome"].isin(("counted", "check"))
    assert len(votes) == holding == valid.sum() + len(dropped)
    assert set(dropped["rule"]) <= set(checks.RULES) and (dropped["detail"] != "").all()
    kept = set(map(tuple, found.loc[valid, ["file", "row"]].to_numpy().tolist()))
    lost = set(map(tuple, dropped[["file", "row"]].to_numpy().tolist()))
    assert not kept & lost and len(kept | lost) == holding
    metrics = metrics_of(found)
    assert metrics["votes/read"] == holding and metrics["votes/dropped"] == len(dropped)
    # a pair that counts has both answers of a rater, and no caption more votes than raters are asked for
    counted = found[found["outcome"] == "counted"]
    assert (counted.groupby(["rater_id", "pair_id"])["question"].nunique() == 2).all()
    assert not len(counted) or counted.groupby(["caption_id", "question"]).size().max() <= 5


@pytest.mark.parametrize(
    ("change", "said"),
    [({"max_fast": 1.5}, "max_fast must be a share"), ({"max_inconsistent": -1.0}, "max_inconsist"), ({"min_votes": 0}, "min_v")],
)  # fmt: skip
def test_thresholds_that_cannot_be_are_named(change, said):
    with pytest.raises(ValueError, match=said):
        replace(RULES, **change)
    assert isinstance(RULES, VoteRules)
