"""What the paper says beside what was measured here, in words computed from the numbers."""

import pandas as pd

from dalle.report.completions import completion_findings, completion_sentences
from dalle.report.frames import METRICS
from dalle.report.human_votes import vote_findings
from dalle.report.overlaps import overlap_finding
from dalle.report.page import Table
from dalle.report.results import Results
from dalle.report.rivals import chance_finding, finetuning_finding, gap_findings, gap_sentences
from dalle.report.verdicts import NO_NUMBER, by_difference

HEADER = ("the paper", "measured here", "did it hold here?")
LITTLE = 0.05  # of FID: a change that counts as little
Finding = tuple[str, str, str]


def summary(results: Results) -> str:
    """One paragraph with the key numbers of every stage that ran."""
    sentences = []
    if results.has("filter_data"):
        kept, total = results.number("filter_data", "pairs/kept"), results.number("filter_data", "pairs/total")
        sentences.append(f"Of {total:,.0f} text-image pairs of {results.world}, {kept:,.0f} pass the filters.")
    if results.has("train_dvae"):
        sentences.append(f"The dVAE reconstructs held-out images at {_dvae_words(results)}.")
    if results.has("train_prior"):
        loss = results.number("train_prior", "valid/image_loss")
        sentences.append(f"The prior ends at {loss:.3f} nats an image token on held-out pairs.")
    for domain in results.domains:
        sentences.extend(_reranking_sentence(results, domain))
        sentences.extend(gap_sentences(results, domain))
    sentences.extend(completion_sentences(results))
    return " ".join(sentences)


def findings(results: Results) -> Table:
    """A row for each claim of the paper that this run can speak to."""
    rows: list[Finding] = []
    if results.has("train_dvae"):
        claim = "32 × 32 codes out of 8,192 lose fine texture and thin lines; no number is given (2.1, Fig. 1)"
        rows.append((claim, _dvae_words(results), NO_NUMBER))
    for domain in results.domains:
        rows.extend(_reranking(results, domain))
        rows.extend(_against_baselines(results, domain))
        rows.extend(filter(None, [overlap_finding(results, domain)]))
        rows.extend(_overlap(results, domain))
        rows.extend(_composition(results, domain))
        rows.extend(finetuning_finding(results, domain))
        rows.extend(chance_finding(results, domain))
    rows.extend(gap_findings(results) or _specialised_domain(results))
    rows.extend(completion_findings(results))
    rows.extend(vote_findings(results))
    return Table(header=HEADER, rows=rows)


def _dvae_words(results: Results) -> str:
    psnr, used = (results.number("train_dvae", f"valid/{key}") for key in ("psnr_db", "codebook_used"))
    return f"{psnr:.1f} dB PSNR with {used:.0%} of its codes in use"


def _ends(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series] | None:
    """The rows of the fewest and of the most candidates, if they differ."""
    return (rows.iloc[0], rows.iloc[-1]) if len(rows) > 1 else None


def _reranking_sentence(results: Results, domain: str) -> list[str]:
    ends = _ends(results.rows(domain, "fid"))
    if ends is None:
        return []
    first, last = ends
    words = (
        f"On {results.name(domain)}, keeping the best of {last['candidates']:.0f} candidates by CLIP takes FID from "
        f"{first['value']:.1f} to {last['value']:.1f} ({results.features(domain)}, {last['num_samples']:.0f} images)"
    )
    accuracy = _ends(results.rows(domain, "caption_accuracy"))
    if accuracy is not None:
        words += f" and caption accuracy from {accuracy[0]['value']:.0%} to {accuracy[1]['value']:.0%}"
    return [words + "."]


def _reranking(results: Results, domain: str) -> list[Finding]:
    """Each score apart; without blur, and where the largest radius was swept too, there: the codes' own distance is less."""
    if _ends(results.rows(domain, "fid")) is None:
        return []
    table = results.evaluation
    largest = float(table[table["domain"] == domain]["blur_radius"].max())
    blurred = [("fid", largest), ("kid", largest)] if largest > 0 else []
    asked = [("fid", 0.0), ("kid", 0.0), ("inception_score", 0.0), *blurred]
    words, verdicts, over = [], [], ""
    for metric, radius in asked:
        ends = _ends(results.at_radius(domain, metric, radius))
        if ends is None:
            continue
        first, last = ends
        deviations = [results.deviation(row) for row in ends]
        where = f" at blur radius {radius:g}" if radius else ""
        name, digits = {"inception_score": "IS"}.get(metric, metric.upper()), METRICS[metric].digits
        scores = [_score(row["value"], spread, digits) for row, spread in zip(ends, deviations, strict=True)]
        words.append(f"{name}{where} {' → '.join(scores)}")
        better = last["value"] - first["value"]
        verdicts.append(f"{name}{where} {by_difference(better if metric == 'inception_score' else -better, deviations)}")
        over = f" from N = {first['candidates']:.0f} to {last['candidates']:.0f}"
    claim = "Reranking more candidates improves FID and IS, clearly up to N = 32, then less (Fig. 9c)"
    return [(claim, f"{results.name(domain)}: {', '.join(words)}{over}", "; ".join(verdicts))]


def _score(value: float, spread: float, digits: str) -> str:
    return f"{value:{digits}}" + (f" ± {spread:{digits}}" if spread == spread else "")


def _against_baselines(results: Results, domain: str) -> list[Finding]:
    names = results.baselines(domain)
    table = results.evaluation
    rows = table[(table["domain"] == domain) & (table["metric"] == "fid") & (table["reference"] == "all")]
    gaps = {}
    for radius in sorted(set(rows["blur_radius"])):
        at = rows[rows["blur_radius"] == radius]
        ours = at[at["model"] == "dalle"].sort_values("candidates")
        others = at[at["model"].isin(names)].sort_values("value")
        if len(ours) and len(others):
            gaps[radius] = (ours.iloc[-1], others.iloc[0])
    if len(gaps) < 2:
        return []
    pairs = [next(iter(gaps.values())), list(gaps.values())[-1]]
    sharp, blurred = (ours["value"] - theirs["value"] for ours, theirs in pairs)
    measured = (
        f"{results.name(domain)}: FID minus the best baseline's {sharp:+.1f} without blur, {blurred:+.1f} at radius "
        f"{max(gaps):g}"
    )
    claim = "Against the best prior model DALL-E's FID gains with the blur radius (Fig. 9a)"
    deviations = [results.deviation(row) for pair in pairs for row in pair]
    return [(claim, measured, by_difference(sharp - blurred, deviations))]


def _overlap(results: Results, domain: str) -> list[Finding]:
    everything, without = results.rows(domain, "fid"), results.rows(domain, "fid", reference="no_overlap")
    if everything.empty or without.empty:
        return []
    full, part = everything.iloc[-1], without.iloc[-1]
    spread, change = results.deviation(full), part["value"] - full["value"]
    little = LITTLE * full["value"]
    measured = (
        f"{results.name(domain)}: FID changes by {change:+.1f}, two standard deviations are {2 * spread:.1f}; little is up to "
        f"{LITTLE:.0%} of it, {little:.1f}"
    )
    claim = "Leaving out reference images seen in training changes FID little (3.2, dashed in Fig. 9)"
    return [(claim, measured, by_difference(little - abs(change), [spread]))]


def _composition(results: Results, domain: str) -> list[Finding]:
    everything = results.rows(domain, "caption_accuracy")
    unseen = results.rows(domain, "caption_accuracy", reference="heldout")
    if everything.empty or unseen.empty:
        return []
    full, part = everything.iloc[-1], unseen.iloc[-1]
    measured = (
        f"{results.name(domain)}: {full['value']:.0%} of captions shown right; of combinations never seen in training "
        f"{part['value']:.0%} ({part['low']:.0%} to {part['high']:.0%}, {part['num_samples']:.0f} captions)"
    )
    claim = "Zero-shot: draws captions that its training set does not contain; no number is given (3.1)"
    return [(claim, measured, NO_NUMBER)]


def _specialised_domain(results: Results) -> list[Finding]:
    gaps, words, deviations = {}, [], []
    if results.names:  # of one's own pictures none are the special ones
        return []
    for domain in ("coco", "cub"):
        ours, codes = results.rows(domain, "fid"), results.rows(domain, "fid", model="dvae")
        if ours.empty or codes.empty:
            return []
        fid, floor = ours["value"].iloc[-1], codes["value"].iloc[-1]
        gaps[domain] = fid - floor
        images = ours["num_samples"].iloc[-1]
        deviations += [results.deviation(ours.iloc[-1]), results.deviation(codes.iloc[-1])]
        words.append(f"{domain} {fid:.1f} ({floor:.1f} for the dVAE's reconstructions, {images:.0f} images)")
    claim = "The specialised domain is harder: on CUB nearly 40 FID behind the best prior model, on MS-COCO within 2 (3.1)"
    verdict = by_difference(gaps["cub"] - gaps["coco"], deviations)
    return [(claim, "FID: " + ", ".join(words), f"{verdict}, by the distance to the reconstructions")]
