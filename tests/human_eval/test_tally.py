"""Majorities, ties and captions with too few votes; and files that a spreadsheet may open."""

import pandas as pd
import pytest
from voted_sheets import RULES, small_key, table, votes_of

from dalle.human_eval.checks import check_votes
from dalle.human_eval.tally import as_text, caption_table, dropped_table, vote_metrics

KEY = small_key(pairs=1)


def tallied(choices, question="match"):
    """One caption on which raters choose a party each on `question`, and ours on the other."""
    rows = []
    for (sheet, of_sheet), party in zip(KEY.groupby("sheet_id"), choices, strict=False):
        for row in votes_of(of_sheet, lambda sheet: f"rater-{sheet}"):
            if row[2].endswith("n1") and row[3] == question:
                row[4] = {"ours": "left", "rival": "right", "neither": "neither"}[party]
            rows.append(row)
    checked = check_votes(table(rows), KEY, RULES, 5)
    captions = caption_table(checked, KEY, RULES, model="dalle", rival="dfgan")
    return captions[captions["question"] == question].iloc[0], checked, captions


@pytest.mark.parametrize(
    ("choices", "majority"),
    [
        (["ours"] * 3 + ["rival"] * 2, "ours"),
        (["rival"] * 3 + ["neither"] * 2, "rival"),
        (["neither"] * 3 + ["ours"] * 2, "neither"),
        (["ours"] * 2 + ["rival"] * 2 + ["neither"], "none"),  # the most votes are no majority
        (["ours"] * 2 + ["rival"] * 2, "none"),  # a tie of four
        (["ours"] * 3 + ["rival"], "ours"),
        (["ours"] * 2 + ["rival"], "ours"),
        (["ours"] * 2, "too_few"),
        ([], "too_few"),
    ],
)  # fmt: skip
def test_the_majority_is_more_than_half_of_the_votes_cast(choices, majority):
    row, checked, captions = tallied(choices)
    assert row["majority"] == majority and row["votes"] == len(choices)
    assert all(row[party] == choices.count(party) for party in ("ours", "rival", "neither"))
    metrics = vote_metrics(checked, captions, KEY, RULES, raters=5, resamples=10, seed=0)
    assert metrics["match/captions"] == (majority != "too_few") and metrics["match/too_few_votes"] == (majority == "too_few")
    if majority != "too_few":
        assert metrics[f"match/majority_{majority}"] == 1
        assert metrics["match/fewer_than_all_votes"] == (len(choices) < 5)


def test_quality_is_of_the_votes_that_count():
    _, checked, captions = tallied(["ours"] * 4 + ["rival"])
    metrics = vote_metrics(checked, captions, KEY, RULES, raters=5, resamples=10, seed=0)
    assert metrics["attention/answers"] == 15 and metrics["attention/right"] == 1
    assert metrics["repeats/answers"] == 10 and metrics["repeats/consistent"] == pytest.approx(0.9)
    assert metrics["side/left"] == pytest.approx(0.9)  # dalle is on the left of every pair
    assert metrics["match/agreement"] == pytest.approx(0.6) and metrics["match/votes_ours"] == pytest.approx(0.8)


def test_no_cell_of_the_dropped_votes_is_a_formula():
    rows = [["=cmd|'/C calc'!A0", "@SUM(1)", "+1", "-1", "left", "1", "x"]]
    dropped = dropped_table(check_votes(table(rows), KEY, RULES, 5)).iloc[0]
    assert [dropped["rater_id"], dropped["pair_id"], dropped["question"]] == ["'@SUM(1)", "'+1", "'-1"]
    assert as_text("p-1") == "p-1" and as_text("\tx") == "'\tx"


def test_captions_come_in_the_order_of_the_key_for_each_question():
    key = small_key(num_batches=2, pairs=2)
    empty = check_votes(table([]), key, RULES, 5)
    captions = caption_table(empty, key, RULES, model="dalle", rival="dfgan")
    assert captions["caption_id"].tolist() == ["10", "11", "20", "21"] * 2
    assert isinstance(captions, pd.DataFrame) and (captions["majority"] == "too_few").all()
