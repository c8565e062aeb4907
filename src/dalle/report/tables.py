"""The tables of the page: filtering, final scores, and what each stage left behind."""

from collections.abc import Mapping

import pandas as pd

from dalle.data.filtering.rule_list import RULES
from dalle.report.frames import METRICS, most_candidates
from dalle.report.page import Markdown, Table
from dalle.report.results import Results, flattened
from dalle.report.style import model_styles
from dalle.report.verdicts import SHARES

# In the pipeline's order: what the stage makes, and which of its metrics to quote
STAGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "prepare_data": ("manifests of all sources", ()),
    "filter_data": ("training pairs that pass the filters", ("pairs/total", "pairs/kept")),
    "train_detector": ("the model that knows altered copies", ("valid/top1", "valid/suggested_threshold")),
    "find_overlap": ("evaluation images that were seen in training", ("overlap/rate", "overlap/precision", "overlap/recall")),
    "train_tokenizer": ("byte-pair encoding of the captions", ()),
    "train_dvae": ("images to codes and back", ("valid/psnr_db", "valid/ssim", "valid/codebook_used")),
    "precompute_tokens": ("image tokens of all training pairs", ()),
    "train_prior": ("the prior over text and image tokens", ("valid/loss", "valid/image_loss", "valid/text_loss")),
    "train_clip": ("the model that reranks", ("valid/loss", "valid/retrieval_top1")),
    "sample": ("candidates for every caption", ("images/total",)),
    "rerank": ("winners for every N", ()),
    "train_baseline": ("a GAN on a domain's own pairs", ("valid/matching", "valid/mismatching", "valid/fake")),
    "sample_baseline": ("the GAN's picture for every caption", ("images/total",)),
    "finetune_prior": ("the prior after training on a domain's own pairs", ("before/image_loss", "valid/image_loss")),
    "sample_finetuned": ("the winners of the fine-tuned prior", ("images/total",)),
    "complete": ("pictures completed from their top", ("success/dalle_best_of_1", "success/dvae", "pictures/total")),
    "evaluate": ("scores", ()),
    "tally_votes": ("votes on pairs of pictures, checked and tallied", ("votes/simulated", "votes/counted", "votes/dropped")),
}
NUM_QUOTED = 3
LEAST_OF_REAL = 0.1  # precision and recall of real images, from which on those of a model mean something


def filter_counts(results: Results) -> pd.DataFrame:
    """`rule, words, dropped, left, precision, recall`, as the rules are applied; no truth leaves the last two empty."""
    metrics = flattened(results.metrics.get("filter_data", {}))
    rules = [rule for rule in RULES if f"dropped/{rule}" in metrics]
    if not rules:
        raise ValueError("metrics of stage 'filter_data': no 'dropped/RULE' is there")
    left, rows = int(metrics["pairs/total"]), []
    for rule in rules:
        dropped = int(metrics[f"dropped/{rule}"])
        left -= dropped
        scores = (metrics.get(f"truth/{rule}/{name}") for name in ("precision", "recall"))
        rows.append((rule, RULES[rule].WORDS, dropped, left, *scores))
    frame = pd.DataFrame(rows, columns=["rule", "words", "dropped", "left", "precision", "recall"])
    return frame.astype({"precision": float, "recall": float})


def filtering(results: Results) -> Table:
    rows = [
        (row.rule, f"{row.dropped:,}", f"{row.left:,}", _share(row.precision), _share(row.recall))
        for row in filter_counts(results).itertuples(index=False)
    ]
    header = ("rule", "dropped", "left", "precision", "recall")
    return Table(header=header, rows=rows, numbers=header[1:])


def final_scores(results: Results) -> Table:
    """A row a domain and model at its largest N, without blur, against the full reference."""
    table = results.evaluation
    table = table[(table["reference"] == "all") & (table["blur_radius"].fillna(0) == 0)]
    shown = [metric for metric in METRICS if (table["metric"] == metric).any()]
    rows = []
    for domain in results.domains:
        best = most_candidates(table[table["domain"] == domain])
        for name, style in model_styles(best["model"]).items():
            mine = best[best["model"] == name]
            first = mine[mine["metric"].isin(("fid", shown[0]))].iloc[:1]
            images = f"{first['num_samples'].iloc[0]:.0f}" if len(first) else "–"
            candidates = f"{mine['candidates'].fillna(1).iloc[0]:.0f}" if name.startswith("dalle") else "–"
            silent = without_signal(results, domain)
            scores = ("–" if metric in silent else _score(mine, metric, results) for metric in shown)
            rows.append((domain, style.label, candidates, images, *scores))
    labels = [f"{METRICS[metric].label} {METRICS[metric].note[0]}" for metric in shown]
    header = ("domain", "model", "best of", "images", *labels)
    return Table(header=header, rows=rows, numbers=header[2:])


def without_signal(results: Results, domain: str) -> list[str]:
    """Precision and recall where even real images score next to nothing: of other models they say nothing either."""
    levels = {metric: results.rows(domain, metric, "real")["value"] for metric in ("precision", "recall")}
    return [metric for metric, values in levels.items() if len(values) and values.iloc[0] < LEAST_OF_REAL]


def score_words(results: Results) -> list[str]:
    """What stands behind a value, and what is left out and why."""
    if results.evaluation.empty:
        return []
    words = ["Behind a score one standard deviation, in brackets behind a share its 95 % interval."]
    for domain in results.domains:
        silent = without_signal(results, domain)
        if silent:
            why = f"carry no signal and are left out: real images score below {LEAST_OF_REAL:g}"
            words.append(f"On {results.name(domain)} {' and '.join(silent)} {why}.")
    return [" ".join(words)]


def stages(results: Results) -> Table:
    """Each stage that left metrics, with a few of them; the file has them all."""
    rows = []
    for stage in sorted(results.metrics, key=_pipeline_order):
        makes, preferred = STAGES.get(stage.partition("-")[0], ("", ()))
        metrics = flattened(results.metrics[stage])
        quoted = [key for key in preferred if key in metrics] or sorted(metrics)[:NUM_QUOTED]
        words = ", ".join(f"{key} = {_quoted(metrics[key])}" for key in quoted)
        link = Markdown(f"[`{stage}.json`](metrics/{stage}.json)")
        rows.append((Markdown(f"`{stage}`"), makes, words, link))
    return Table(header=("stage", "makes", "among its results", "all of them"), rows=rows)


def _pipeline_order(stage: str) -> tuple[int, str]:
    names = list(STAGES)
    name = stage.partition("-")[0]
    return (names.index(name) if name in names else len(names), stage)


def _quoted(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


def _share(value: float) -> str:
    return f"{value:.1%}" if pd.notna(value) else "–"


def _score(rows: pd.DataFrame, metric: str, results: Results) -> str:
    """The value with its interval of 95 % for shares, one standard deviation for all else."""
    found, digits = rows[rows["metric"] == metric], METRICS[metric].digits
    if found.empty:
        return "–"
    row = found.iloc[0]
    if metric in SHARES:
        return f"{row['value']:{digits}} ({row['low']:{digits}} to {row['high']:{digits}})"
    spread = results.deviation(row)
    return f"{row['value']:{digits}}" + (f" ± {spread:{digits}}" if pd.notna(spread) else "")
