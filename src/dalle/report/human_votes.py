"""What people, or raters simulated in their place, decided of pairs of pictures, in words (PAPER App. F)."""

from dalle.report.results import Compared, Results, flattened
from dalle.report.style import model_styles
from dalle.report.verdicts import by_interval

CLAIMS = {
    "realism": "To a majority of five people DALL-E's image is more realistic than DF-GAN's for 90.0% of captions (Fig. 7)",
    "match": "To a majority of five people DALL-E's image matches the caption better than DF-GAN's for 93.3% (Fig. 7)",
}
SIMULATED_WORDS = (
    "SIMULATED: nobody has voted. Raters made of rules and noise vote in people's place, so that sheets, checks and tallies "
    "can be seen at work: how real a picture looks to them is its depth among real pictures' features, and whether it shows "
    "its caption they learn from the miniature world's reader, with errors. What they prefer is no finding about people."
)
WHY_DROPPED = {
    "malformed": "malformed",
    "unknown_sheet": "for a sheet that is not of this run",
    "unknown_pair": "for a pair that is not of this run",
    "unknown_question": "on a question that is not asked",
    "unknown_choice": "for what is no choice",
    "contradiction": "contradicting another of the same rater",
    "duplicate": "given twice",
    "second_sheet": "of a rater on a second sheet with the same pairs",
    "missing_question": "without the pair's other question",
    "failed_attention": "of raters who failed attention checks",
    "too_fast": "of raters too fast to have looked",
    "against_others": "of raters at odds with the others",
    "inconsistent": "of raters at odds with themselves",
    "extra_vote": "more than a pair needs",
}


def vote_words(results: Results) -> list[str]:
    """What was voted and what of it counts; nothing where there was no human evaluation."""
    if not results.has("tally_votes"):
        return []
    metrics = flattened(results.metrics["tally_votes"])
    if not metrics["votes/read"]:
        return ["No votes yet: reports/human_eval/votes/README.md says how to get some."]
    counts = {name: f"{metrics[f'votes/{name}']:,.0f}" for name in ("read", "counted", "checks", "dropped")}
    words = (
        f"Of {counts['read']} votes of {metrics['raters/total']:.0f} raters {counts['counted']} count, {counts['checks']} were "
        f"on attention checks and on pairs shown again, and {counts['dropped']} do not count"
    )
    why = [f"{metrics[f'dropped/{rule}']:,.0f} {said}" for rule, said in WHY_DROPPED.items() if metrics.get(f"dropped/{rule}")]
    words += f": {', '.join(why)}." if why else "."
    words += " Each is listed with its rule in metrics/human_eval_dropped.csv."
    if not metrics["votes/simulated"]:
        return [words]
    unreadable = metrics.get("votes/simulated_unreadable_captions", 0)
    by_looks = f" Of {unreadable:,.0f} captions, which it cannot read, they judge by realism alone." if unreadable else ""
    return [f"{SIMULATED_WORDS}{by_looks} Votes of people, put into reports/human_eval/votes, take their place.", words]


def vote_figure_words(results: Results) -> tuple[str, str]:
    """Title and caption of the figure."""
    compared = _compared(results)
    title = f"{_label(compared.model)} against {_label(compared.rival)} by votes (the paper's Fig. 7)"
    if not _voted(results):
        return title, "No votes count yet. Below, in a panel of its own, what the paper measured with people."
    metrics = flattened(results.metrics["tally_votes"])
    who = "SIMULATED raters" if metrics["votes/simulated"] else "raters"
    return title, (
        f"{metrics['realism/captions']:,.0f} captions of {compared.dataset}, {metrics['votes/wanted_per_caption']:.0f} {who} "
        "a caption; a majority is more than half of the votes cast, and intervals are over captions. One choice far more "
        "frequent than the other makes α low even where nearly all agree. Below, in a panel of its own, what the paper "
        "measured with people."
    )


def vote_findings(results: Results) -> list[tuple[str, str, str]]:
    """The paper's claim, what was measured here, and whether it is as in the paper; nothing without votes."""
    if not _voted(results):
        return []
    compared, metrics = _compared(results), flattened(results.metrics["tally_votes"])
    simulated, rows = bool(metrics["votes/simulated"]), []
    for question, claim in CLAIMS.items():
        if f"{question}/majority_ours" not in metrics:
            continue
        ours, low, high = (metrics[f"{question}/majority_ours{end}"] for end in ("", "_low", "_high"))
        theirs = metrics[f"{question}/majority_rival"]
        measured = (
            f"{'SIMULATED raters, ' if simulated else ''}{compared.dataset}: {ours:.1%} ({low:.1%} to {high:.1%}) of "
            f"{metrics[f'{question}/captions']:,.0f} captions, {theirs:.1%} for {_label(compared.rival)}"
        )
        rows.append((claim, measured, "simulated: says nothing" if simulated else by_interval(low, high, 0.5)))
    return rows


def _voted(results: Results) -> bool:
    there = results.has("tally_votes") and results.compared is not None
    return there and bool(results.number("tally_votes", "votes/counted"))


def _compared(results: Results) -> Compared:
    assert results.compared is not None, "who is compared is known where votes are tallied"
    return results.compared


def _label(name: str) -> str:
    return model_styles([name])[name].label
