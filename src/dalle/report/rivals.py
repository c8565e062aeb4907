"""DALL-E beside the models trained for the purpose, in words computed from the numbers: the paper's claims on both domains."""

import math
from typing import NamedTuple

from dalle.report.results import Results
from dalle.report.style import model_styles
from dalle.report.verdicts import NO_NUMBER, NOT_COMPARABLE, NOT_JUDGED, by_difference, by_interval

FINETUNED = "dalle_finetuned"
CLAIMS = {
    "coco": "Zero-shot on MS-COCO, FID is within 2 points of the best GAN's, which is trained there (3.1, Fig. 9a)",
    "cub": "Zero-shot on CUB, birds alone, FID is nearly 40 points behind the best GAN's (3.1, Fig. 9b)",
}


class Gap(NamedTuple):
    """FID of DALL-E and of the best rival; `spread` is the standard deviation of their difference, NaN if unknown."""

    ours: float
    theirs: float
    rival: str
    spread: float

    @property
    def value(self) -> float:
        return self.ours - self.theirs

    @property
    def side(self) -> str:
        """`level` within two standard deviations, or where these are unknown."""
        if by_difference(abs(self.value), [self.spread]) == NOT_JUDGED:
            return "level"
        return "behind" if self.value > 0 else "ahead"


def gap_to_rivals(results: Results, domain: str) -> Gap | None:
    """None where either side has no FID."""
    ours = results.rows(domain, "fid")
    others = {name: results.rows(domain, "fid", model=name).iloc[-1] for name in results.baselines(domain)}
    if ours.empty or not others:
        return None
    mine, (name, best) = ours.iloc[-1], min(others.items(), key=lambda item: item[1]["value"])
    spread = math.hypot(results.deviation(mine), results.deviation(best))
    return Gap(mine["value"], best["value"], model_styles([name])[name].label, spread)


def gap_findings(results: Results) -> list[tuple[str, str, str]]:
    """A row a domain, as it was found, and one about both; the paper says nothing of pictures of one's own."""
    found = {domain: gap_to_rivals(results, domain) for domain in results.domains if domain not in results.names}
    gaps = {domain: gap for domain, gap in found.items() if gap is not None}
    rows = []
    for domain, gap in gaps.items():
        own_split = f"; not zero-shot, DALL-E knows {results.world}" if results.world.startswith("the training split") else ""
        measured = (
            f"{domain}: FID {gap.ours:.1f}, of {gap.rival} {gap.theirs:.1f}: {_words(gap)} ({results.features(domain)}, whose "
            f"points are not the paper's{own_split})"
        )
        rows.append((CLAIMS[domain], measured, NOT_COMPARABLE))
    if len(gaps) == 2:
        claim = "The specialised domain is the harder one: the gap to the GAN is wider on CUB than on MS-COCO (3.1)"
        measured = "FID less the best GAN's: " + ", ".join(f"{domain} {gap.value:+.1f}" for domain, gap in gaps.items())
        spreads = [gap.spread for gap in gaps.values()]
        rows.append((claim, measured, by_difference(gaps["cub"].value - gaps["coco"].value, spreads)))
    return rows


def gap_sentences(results: Results, domain: str) -> list[str]:
    """What of it belongs into the summary, after DALL-E's own FID."""
    gap = gap_to_rivals(results, domain)
    return [] if gap is None else [f"{gap.rival} reaches {gap.theirs:.1f} there: DALL-E is {_words(gap)}."]


def finetuning_finding(results: Results, domain: str) -> list[tuple[str, str, str]]:
    before, after = results.rows(domain, "fid"), results.rows(domain, "fid", model=FINETUNED)
    if before.empty or after.empty:
        return []
    gap = gap_to_rivals(results, domain)
    beside = f"; {gap.rival} {gap.theirs:.1f}" if gap else ""
    rows = (before.iloc[-1], after.iloc[-1])
    verdict = by_difference(rows[0]["value"] - rows[1]["value"], [results.deviation(row) for row in rows])
    measured = (
        f"{results.name(domain)}: FID {before['value'].iloc[-1]:.1f} → {after['value'].iloc[-1]:.1f} by fine-tuning on its "
        f"training split{beside}"
    )
    claim = "Fine-tuning is a promising direction for a specialised domain, left to future work (3.1)"
    return [(claim, measured, f"{verdict} here; {NO_NUMBER}")]


def chance_finding(results: Results, domain: str) -> list[tuple[str, str, str]]:
    """Whether images show their own caption more often than the captions of others."""
    table, words, verdicts = results.evaluation, [], []
    shuffled = table[(table["domain"] == domain) & (table["metric"] == "caption_accuracy_shuffled")]
    for name, style in model_styles(shuffled["model"]).items():
        own, chance = results.rows(domain, "caption_accuracy", model=name), shuffled[shuffled["model"] == name].iloc[0]
        if own.empty:
            continue
        best = own.iloc[-1]
        words.append(
            f"{style.label} {best['value']:.0%} ({best['low']:.0%} to {best['high']:.0%}), with captions shuffled "
            f"{chance['value']:.1%} (at most {chance['high']:.1%})"
        )
        verdicts.append(f"{style.label}: {by_interval(best['low'], best['high'], chance['high'])}")
    if not words:
        return []
    claim = "Samples show what their captions say, by the votes of people (3.1, Fig. 7); here a program reads them"
    return [(claim, f"{results.name(domain)}: {'; '.join(words)}", "; ".join(verdicts))]


def _words(gap: Gap) -> str:
    side = "behind" if gap.value > 0 else "ahead"
    within = "" if math.isnan(gap.spread) else ", within two standard deviations"
    close = within if gap.side == "level" else ""
    return f"{side} by {abs(gap.value):.1f}{close}"
