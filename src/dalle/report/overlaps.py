"""What was found of the evaluation images among the training images, in words (PAPER 3.2)."""

from dalle.report.results import Results, flattened

IN_THE_PAPER = {"coco": "21% of MS-COCO's", "cub": "12% of CUB's"}


def overlap_words(results: Results) -> list[str]:
    """How it is known, and how well it was found where the truth is; nothing where nobody looked."""
    stages = [f"find_overlap-{domain}" for domain in results.domains if results.has(f"find_overlap-{domain}")]
    if not stages:
        return []
    words = (
        "For every evaluation image the nearest of all kept training images is searched for, exactly, by a network trained to "
        "know altered copies of a picture. From the closest pairs, sorted, a threshold is read off by eye: images above it "
        "count as seen in training, and the dashed lines among the scores leave them out of the reference."
    )
    compared = [_against_thumbnails(results, stage) for stage in stages]
    return [words, *([" ".join(filter(None, compared))] if any(compared) else [])]


def overlap_figure_words(domain: str, results: Results) -> tuple[str, str]:
    """Title and caption of a contact sheet."""
    stage = f"find_overlap-{domain}"
    seen, images = (int(results.number(stage, f"overlap/{key}")) for key in ("images", "of_images"))
    known = _known(results, stage)
    return (
        f"Evaluation images of {results.name(domain)} beside their nearest training images (3.2)",
        f"{seen:,} of {images:,} images lie above the threshold, {results.number(stage, 'overlap/rate'):.1%}"
        + (f"; {known}." if known else "; whether they are copies only a look at them can tell."),
    )


def overlap_finding(results: Results, domain: str) -> tuple[str, str, str] | None:
    """The paper's rate, ours, and whether the two can agree."""
    stage = f"find_overlap-{domain}"
    if not results.has(stage):
        return None
    claim = f"About {IN_THE_PAPER[domain]} evaluation images are in the training set (3.2)"
    known = _known(results, stage)
    measured = f"{results.name(domain)}: {results.number(stage, 'overlap/rate'):.1%} found" + (f"; {known}" if known else "")
    if not known:
        return claim, measured, "another training set"
    return claim, measured, "planted so; " + ("found as planted" if _as_planted(results, stage) else "not found as planted")


def _known(results: Results, stage: str) -> str:
    """What the planted truth says, as far as there is one."""
    metrics = flattened(results.metrics[stage])
    if "overlap/planted_rate" not in metrics:
        return ""
    shares = [f"{name} {metrics[f'overlap/{name}']:.1%}" for name in ("precision", "recall") if f"overlap/{name}" in metrics]
    return ", ".join([f"{metrics['overlap/planted_rate']:.1%} were planted", *shares])


def _as_planted(results: Results, stage: str) -> bool:
    """Whether precision and recall are both at least 95 %."""
    metrics = flattened(results.metrics[stage])
    return all(metrics.get(f"overlap/{name}", 0) >= 0.95 for name in ("precision", "recall"))


def _against_thumbnails(results: Results, stage: str) -> str:
    metrics = flattened(results.metrics[stage])
    ours, baseline = (metrics.get(f"overlap/{name}average_precision") for name in ("", "thumbnail_"))
    if ours is None or baseline is None:
        return ""
    domain = stage.partition("-")[2]
    return f"On {domain} its order has an average precision of {ours:.2%}; that of 16 × 16 thumbnails has {baseline:.2%}."
