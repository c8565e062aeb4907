"""The report's page, section by section: which figure stands where, and under which words."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from dalle.report.completions import completion_words
from dalle.report.findings import findings
from dalle.report.frames import BLURS, METRICS, only_value
from dalle.report.human_votes import vote_figure_words, vote_words
from dalle.report.limits import limits
from dalle.report.overlaps import overlap_figure_words, overlap_words
from dalle.report.page import Origin, PageFigure, Section
from dalle.report.results import Results, flattened
from dalle.report.tables import filtering, final_scores, score_words, stages

FIGURES = (
    "miniature_world", "filter_examples", "reconstructions", "train_dvae", "attention_masks", "train_prior", "train_clip",
    "finetune_prior", "samples", "memorisation", "best_of", "rerank_curves", "caption_accuracy", "completion",
    "train_dfgan", "human_evaluation", "overlap", "train_detector", "blur_curves", "published_numbers",
)  # fmt: skip
Files = Mapping[str, Path]


def page_sections(
    results: Results, figures: Files, origins: Mapping[str, Origin], ablations: Section | None = None
) -> list[Section]:
    """All sections for the figures at hand: name, or name-DOMAIN, -> file. An unknown name is a ValueError.

    `ablations` stands before the last one.
    """
    for name in figures:
        if name.partition("-")[0] not in FIGURES:
            raise ValueError(f"figures: '{name}' is unknown; known: {', '.join(FIGURES)}, with -DOMAIN where it has one")
    def some(*names: str) -> list[PageFigure]:
        return _some(figures, origins, results, *names)

    scores = [] if results.evaluation.empty else [final_scores(results)]
    dropped = [filtering(results)] if results.has("filter_data") else []
    sections = [
        Section(title="Samples", figures=some("samples")),
        Section(title="Reranking", figures=some("rerank_curves", "caption_accuracy", "best_of")),
        Section(title="The paper and this run", text=VERDICT_WORDS, tables=[findings(results)]),
        Section(title="What limits this run", tables=[limits(results)] if limits(results).rows else []),
        Section(title="Scores", text=score_words(results), tables=scores, figures=some("blur_curves", "published_numbers")),
        Section(title="The world", text=_world_words(results), figures=some("miniature_world")),
        Section(title="Are samples copies?", figures=some("memorisation")),
        Section(title="Filtering", tables=dropped, figures=some("filter_examples")),
        Section(title="Images as codes", figures=some("reconstructions", "train_dvae")),
        Section(title="The prior", figures=some("attention_masks", "train_prior", "finetune_prior")),
        Section(title="The reranker", figures=some("train_clip")),
        Section(title="Image-to-image", figures=some("completion")),
        Section(title="The rival", figures=some("train_dfgan")),
        Section(title="Human evaluation", text=vote_words(results), figures=some("human_evaluation")),
        Section(
            title="Overlap with the training set", text=overlap_words(results), figures=some("overlap", "train_detector")
        ),
        *([ablations] if ablations else []),
        Section(title="Where the numbers come from", text=[ORIGIN], tables=[stages(results)]),
    ]
    return [section for section in sections if section.text or section.tables or section.figures]


VERDICT_WORDS = [
    "A sentence held, or did not hold, only where numbers differ by more than two standard deviations: those of the "
    "measurement and, where the run was repeated, those between seeds. All others could not be judged. Numbers that the paper "
    "measured under other features, of other images or at another resolution are quoted and not compared."
]
VARIETIES = {
    "canonical": "The world of this run is canonical, which is what two cores can learn: few grounds, one light, nothing "
    "turned, and objects that lie on whole cells of the dVAE's grid, a convenience that photographs do not grant. Its other "
    "variety, rich, has many lights, turns, tints and places, and is what the preset gpu trains on.",
    "rich": "The world of this run is rich: many lights, turns, tints and places. The default's is canonical, in which objects "
    "lie on whole cells of the dVAE's grid.",
}


def _world_words(results: Results) -> list[str]:
    return [VARIETIES[results.variety]] if results.variety in VARIETIES else []


ORIGIN = (
    "Every number on this page is read from the metrics of the stage that measured it. The numbers of the evaluations, "
    "with their features, blur, reference, candidates and intervals, are rows of metrics/evaluate-DOMAIN.csv."
)


def _some(figures: Files, origins: Mapping[str, Origin], results: Results, *names: str) -> list[PageFigure]:
    """The figures called one of `names`, or `name-DOMAIN` for every domain, in this order."""
    chosen = []
    for name in names:
        for full in (name, *(f"{name}-{domain}" for domain in results.domains)):
            if full in figures:
                title, caption = _words(name, full.partition("-")[2], results)
                chosen.append(PageFigure(file=figures[full], title=title, caption=caption, origin=origins.get(full)))
    return chosen


def _words(name: str, domain: str, results: Results) -> tuple[str, str]:
    """Title and caption of a figure; what it is over is looked up in the results."""
    if name in ("blur_curves", "rerank_curves", "caption_accuracy"):
        return _measured_words(name, domain, results)
    if name == "memorisation":
        return _memorisation_words(domain, results)
    if name == "human_evaluation":
        return vote_figure_words(results)
    if name == "overlap":
        return overlap_figure_words(domain, results)
    where = f" of {results.name(domain)}" if domain else ""
    return {
        "miniature_world": (f"Pairs from {results.world}", "Images over the captions they come with."),
        "filter_examples": (
            "What the filters drop (Appendix C)",
            "Pairs dropped by each rule, precision and recall against the planted truth where it is known, and examples.",
        ),
        "reconstructions": (
            "Images and their dVAE reconstructions (the paper's Fig. 1)",
            "Held-out images through their most likely codes; below each pair its PSNR in dB.",
        ),
        "train_dvae": ("Training the dVAE (Appendix A.2)", "Losses, validation with averaged parameters, and the schedules."),
        "train_prior": ("Training the prior (Appendix B.2)", "Loss by kind of token, and the step size."),
        "finetune_prior": (
            f"Fine-tuning the prior on the training split{where} (left open in 3.1)",
            "The prior goes on with this domain's own pairs; held-out are images of this split, none of those it is judged on.",
        ),
        "train_dfgan": (
            f"Training DF-GAN on the training split{where} (3.1)",
            "Mean scores of the discriminator, which wants real pictures above 1 under their own captions, and below -1 under "
            "others' captions, as generated ones; held-out are pictures of this split, none of those it is judged on.",
        ),
        "train_detector": (
            "Training the detector of copies (3.2)",
            "Held-out pictures and an altered copy of each: how many copies are nearest to their own picture, and the lowest "
            "threshold that is nearly always right among them. A search among more pictures needs a higher one.",
        ),
        "train_clip": ("Training CLIP, the reranker (2.6)", "Contrastive loss and retrieval among held-out pairs."),
        "attention_masks": (
            "Attention masks (the paper's Fig. 11)",
            "Every image token sees all text tokens; the mask of its layer limits which earlier image tokens it sees.",
        ),
        "samples": (
            f"Samples for the captions{where} (the paper's Fig. 3 and 8)",
            "The same captions for every row: the first ones of a random order that the seed alone decides. Nothing is picked, "
            "neither captions nor images.",
        ),
        "best_of": (
            f"The best of N candidates{where} (the paper's Fig. 6)",
            "Winners by CLIP for rising N, the largest on top, with the CLIP similarity that decided.",
        ),
        "completion": (
            "Pictures completed from their top (the paper's Fig. 2d and 14)",
            f"The first pictures of the set, nothing picked by hand. {completion_words(results)}".strip(),
        ),
        "published_numbers": (
            "Published numbers (the paper's Fig. 9, as quoted by later papers)",
            "Another world: 12 billion parameters, real images, other features. No axis of this run compares with it.",
        ),
    }[name]


def _measured_words(name: str, domain: str, results: Results) -> tuple[str, str]:
    table = results.evaluation
    metric = "caption_accuracy" if name == "caption_accuracy" else "fid"
    rows = results.rows(domain, metric)
    if rows.empty:
        raise ValueError(f"figures: '{name}-{domain}' is there, but the evaluation has no '{metric}' of dalle for '{domain}'")
    images, candidates = int(rows["num_samples"].max()), int(rows["candidates"].max())
    if name == "caption_accuracy":
        caption = f"{images:,} captions, N up to {candidates}; bands are 95 % Wilson intervals.{_ceiling(domain, results)}"
        return f"{METRICS[metric].label} on {results.name(domain)}", caption
    over = f"{results.features(domain)}, {images:,} images a model"
    if name == "rerank_curves":
        return (
            f"Scores against the number of candidates on {results.name(domain)} (the paper's Fig. 9c)",
            f"{over}, N up to {candidates}{_over_orders(table, domain)}; bands are one standard deviation each way"
            f"{_dashed(table, domain)}.{_floor_words(table, domain)}",
        )
    blurred = table[(table["domain"] == domain) & (table["metric"] == metric) & (table["blur_radius"] > 0)]
    kind = only_value(blurred, "blur_kind") if len(blurred) else None
    blur = f"{BLURS.get(kind, kind)}; bands are" if len(blurred) else "without blur; lines are"
    return (
        f"FID and Inception score {'against' if len(blurred) else 'without'} blur on {results.name(domain)} "
        f"(the paper's Fig. 9{'b' if domain == 'cub' else 'a'})",
        f"{over}, DALL-E best of {candidates}; {blur} one standard deviation each way"
        f"{_dashed(table, domain)}. {_reduced(domain, results)}"
        f"{'' if domain in results.names else 'Below, in panels of their own, published numbers. '}"
        "FID at this number of images is biased upwards, the same for all models: compare within the figure only.",
    )


def _reduced(domain: str, results: Results) -> str:
    """Said of models whose pictures were larger than what is evaluated."""
    metrics = flattened(results.metrics.get(f"evaluate-{domain}", {}))
    sides = {key.removeprefix("pixels/"): side for key, side in metrics.items() if key.startswith("pixels/")}
    return "".join(f"The pictures of {model} were reduced from {side:.0f} pixels a side. " for model, side in sides.items())


def _ceiling(domain: str, results: Results) -> str:
    """What limits caption accuracy: what the dVAE's codes allow, beside what the prior makes of them unaided."""
    allowed, drawn = (results.rows(domain, "caption_accuracy", model)["value"] for model in ("dvae", "dalle"))
    if allowed.empty or drawn.empty:
        return ""
    return (
        f" The real pictures through the dVAE are right in {allowed.iloc[0]:.0%}, which is what the codes allow; first samples "
        f"are in {drawn.iloc[0]:.0%}. What lies between is the prior's to learn, and of that reranking can only choose."
    )


def _memorisation_words(domain: str, results: Results) -> tuple[str, str]:
    keys = ("copies_dalle", "copies_real", "nearer_than_real")
    ours, real, nearer = (results.number(f"evaluate-{domain}", f"memorisation/{key}") for key in keys)
    return (
        f"Samples of {results.name(domain)} beside their nearest training images",
        f"By this measure {ours:.1%} of the samples are copies of a training image, and so are {real:.1%} of the real "
        "validation images, as far as they overlap with the training set (3.2). A sample is nearer to the training set than a "
        f"real image in {nearer:.0%} of all comparisons: 50% would be alike, and much more a sign of memorisation.",
    )


def _over_orders(table: pd.DataFrame, domain: str) -> str:
    """Said where the table has means over random orders of the candidates."""
    there = ((table["domain"] == domain) & (table["metric"] == "fid_over_subsets")).any()
    return "; lines are means over random orders of the candidates, rings the order in which they were drawn" if there else ""


def _floor_words(table: pd.DataFrame, domain: str) -> str:
    """What the second reference is for, where it is there."""
    there = ((table["domain"] == domain) & (table["reference"] == "reconstructions")).any()
    return (
        " Samples are made of the dVAE's codes: without blur most of the distance to real images is fine detail that codes do "
        "not hold, which reranking cannot change. What it changes shows against the reconstructions, and under blur."
        if there
        else ""
    )


def _dashed(table: pd.DataFrame, domain: str) -> str:
    there = ((table["domain"] == domain) & (table["reference"] == "no_overlap")).any()
    return "; dashed lines leave out reference images that were seen in training" if there else ""
