"""Sheets and votes by the written formats, made without the code under test."""

import pandas as pd

from dalle.human_eval.checks import VoteRules

HEADER = "sheet_id,rater_id,pair_id,question,choice,milliseconds,answered_at"
RULES = VoteRules(
    min_milliseconds=4000, max_fast=0.8, max_failed_attention=0.5, max_against_others=0.5, max_inconsistent=None, min_judged=4,
    min_votes=3,
)  # fmt: skip
NASTY = '=HYPERLINK("http://x"), <script>alert(1)</script> "a" | **b**'


def small_key(num_batches=1, pairs=3, slots=5):
    """Each sheet with its pairs, the first of them again with sides swapped, and both kinds of attention checks."""
    rows = []
    for batch in range(1, num_batches + 1):
        for slot in range(1, slots + 1):
            sheet = f"s{batch:02d}r{slot}"
            items = [("pair", f"{batch}{number}", "dalle", "dfgan") for number in range(pairs)]
            items.append(("repeat", f"{batch}0", "dfgan", "dalle"))
            items += [("attention_noise", f"{batch}0", "noise", "real"), ("attention_caption", f"{batch}1", "real", "other")]
            for position, (kind, caption_id, left, right) in enumerate(items, start=1):
                rows.append((sheet, batch, position, f"p{sheet}n{position}", kind, caption_id, NASTY, left, right))
    columns = ("sheet_id", "batch", "position", "pair_id", "kind", "caption_id", "caption", "left", "right")
    return pd.DataFrame(rows, columns=columns)


def votes_of(key, rater_of, model="dalle", milliseconds=5000, hour=9):
    """Every question of every sheet answered for `model`, attention checks rightly; `rater_of` names a sheet's rater."""
    rows = []
    for number, item in enumerate(key.itertuples()):
        wanted = model if item.kind in ("pair", "repeat") else "real"
        for question in ("realism", "match"):
            choice = "left" if item.left == wanted else "right"
            at = f"2026-01-01T{hour:02d}:{number // 60:02d}:{number % 60:02d}.000Z"
            rows.append([item.sheet_id, rater_of(item.sheet_id), item.pair_id, question, choice, str(milliseconds), at])
    return rows


def as_csv(rows, delimiter=",", end="\r\n", header=HEADER):
    """What the page exports."""
    return "".join(delimiter.join(row) + end for row in [header.split(","), *rows])


def table(rows):
    """As `read_votes` gives them."""
    columns = ["file", "row", *HEADER.split(","), "problem"]
    return pd.DataFrame([["a.csv", number, *row, ""] for number, row in enumerate(rows, start=2)], columns=columns)
