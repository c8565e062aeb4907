"""What a pipeline run left behind -> the figures and the page of reports/."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from dalle.data.image_files import load_image
from dalle.data.images import load_evaluation_images
from dalle.data.manifest import BOX, iterate_manifest, one_row_per_image, read_manifest
from dalle.dvae.model import load_dvae
from dalle.dvae.quality import psnr_db
from dalle.evaluation.folders import FolderSamples
from dalle.evaluation.samples import RerankedSamples, read_reranked
from dalle.evaluation.table import read_rows
from dalle.generation.completed_pictures import Completions, read_completions
from dalle.generation.decoding import decode_codes
from dalle.generation.encoding import encode_images
from dalle.prior.kinds import load_prior
from dalle.prior.masks import sequence_mask
from dalle.report.ablations import ablations_section, read_ablations
from dalle.report.completions import completion_subtitle
from dalle.report.figures.attention_masks import attention_masks
from dalle.report.figures.best_of import best_of
from dalle.report.figures.blur_curves import blur_curves
from dalle.report.figures.caption_accuracy import caption_accuracy
from dalle.report.figures.completion import completion
from dalle.report.figures.filter_examples import Example, filter_examples
from dalle.report.figures.human_evaluation import human_evaluation
from dalle.report.figures.miniature_world import miniature_world
from dalle.report.figures.published_numbers import published_numbers
from dalle.report.figures.reconstructions import reconstructions
from dalle.report.figures.rerank_curves import rerank_curves
from dalle.report.figures.samples import samples
from dalle.report.figures.training_curves import training_curves
from dalle.report.findings import summary
from dalle.report.page import Origin, Table, write_page
from dalle.report.results import Compared, Results
from dalle.report.rivals import FINETUNED
from dalle.report.sections import page_sections
from dalle.report.style import dfgan_label, model_styles, save_figure
from dalle.report.tables import filter_counts
from dalle.report.training_plans import DFGAN, FINETUNING, PLANS
from harness.lineage import is_record
from harness.nearest_figures import memorisation_figure, overlap_figure
from harness.params import flatten, read_yaml
from harness.params_tree import Params
from harness.pipeline import read_pipeline
from harness.prepared_sources import own_folders
from harness.presets import read_presets
from harness.rivals import rival_samples
from harness.run_config import MINIWORLD
from harness.trace import FIGURES, digests, figure_stages, parameters_behind

METRICS, ABLATIONS = Path("reports/metrics"), Path("reports/ablations")
EXAMPLES_PER_RULE = 3
NUM_PAIRS_SHOWN = 24
NUM_COMPLETIONS_SHOWN = 3  # beside the best
MOST_ROWS = 7  # of models beside each other
TRAINED_ON = {"coco": "its training split", "cub": "birds"}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything the figures are drawn from, read once."""

    params: Params
    results: Results
    curves: Mapping[str, pd.DataFrame]
    reranked: Mapping[str, RerankedSamples]
    rivals: Mapping[str, Mapping[str, FolderSamples]]  # of each domain, by model
    completions: Completions | None  # None: there were no pictures to complete
    votes: pd.DataFrame  # a row a caption and question of the human evaluation

    @classmethod
    def gather(cls, params: Params, root: Path) -> "Evidence":
        """Read metrics, curves and samples of this run; a missing file is an error that names it.

        Folders of other models' samples are relative to `root`.
        """
        stages = "prepare_data filter_data train_tokenizer train_dvae precompute_tokens train_prior train_clip".split()
        of_domain = ("find_overlap", "sample", "rerank", "evaluate")
        stages += [f"{stage}-{domain}" for domain in params.domains for stage in of_domain]
        stages += ["train_detector", "complete", "tally_votes"]
        tuned = [f"finetune_prior-{domain}" for domain in params.finetune_prior.domains]
        stages += tuned + [f"sample_finetuned-{domain}" for domain in params.finetune_prior.domains]
        gans = [f"train_baseline-{model}-{domain}" for model in params.baselines for domain in params.domains]
        stages += gans + [stage.replace("train", "sample") for stage in gans]
        metrics = {stage: json.loads((METRICS / f"{stage}.json").read_text()) for stage in stages}
        tables, own = [read_rows(METRICS / f"evaluate-{domain}.csv") for domain in params.domains], own_folders()
        asked = params.human_eval
        return cls(
            params=params,
            results=Results(
                metrics=metrics,
                evaluation=pd.concat(tables, ignore_index=True),
                world=_world_name(params, own),
                names={domain: own[domain] for domain in params.domains if domain in own},
                seeds=_seeds(METRICS / "seeds.csv"),
                variety=_variety(params),
                compared=Compared(asked.model, asked.rival, _dataset_name(params, asked.domain, own)),
            ),
            curves={stage: pd.read_csv(f"reports/curves/{stage}.csv") for stage in (*PLANS, *tuned, *gans)},
            reranked={domain: read_reranked(Path(f"reranked/{domain}")) for domain in params.domains},
            rivals={domain: rival_samples(params, domain, read_captions(domain), root) for domain in params.domains},
            completions=read_completions(Path("completions")),
            votes=pd.read_csv(METRICS / "human_eval_captions.csv", dtype={"caption_id": str}),
        )

    def dataset(self, domain: str) -> str:
        """A domain's data in words."""
        return _dataset_name(self.params, domain, self.results.names)


def read_captions(domain: str) -> pd.DataFrame:
    """`caption_id, image_id, caption` that every model drew, in a random order."""
    return pd.read_csv(f"samples/{domain}/captions.csv", dtype=str, keep_default_na=False)


def _dataset_name(params: Params, domain: str, own: Mapping[str, str]) -> str:
    """`own` are the names of captioned folders by corpus."""
    if domain in own:
        return own[domain]
    rendered = getattr(params.prepare_data, domain) == MINIWORLD
    name = {"coco": "MS-COCO", "cub": "CUB"}[domain]
    return f"the miniature {name}" if rendered else name


def _seeds(file: Path) -> pd.Series | None:
    """Standard deviations between seeds by the key of the number; None where the run was not repeated."""
    if not file.is_file():
        return None
    return pd.read_csv(file).set_index("key")["standard_deviation"]


def _variety(params: Params) -> str | None:
    """What the miniature world looks like; None where no domain is rendered."""
    rendered = any(getattr(params.prepare_data, domain) == MINIWORLD for domain in params.domains)
    return params.prepare_data.miniworld.variety if rendered else None


def _world_name(params: Params, own: Mapping[str, str]) -> str:
    """What everything was trained on, in words."""
    web = params.prepare_data.web
    if web in params.domains:
        return f"the training split of {_dataset_name(params, web, own)}"
    return "the miniature world" if web == MINIWORLD else Path(web).name


def draw_figures(evidence: Evidence, folder: Path) -> None:
    """Draw every figure into `folder` as NAME.png or NAME-DOMAIN.png."""
    folder.mkdir(parents=True)
    for name, draw in _figures(evidence).items():
        save_figure(draw(), folder / f"{name}.png")


def write_report(evidence: Evidence, path: Path) -> None:
    """The page over the figures drawn before, each with what it was made from."""
    figures = {name: FIGURES / f"{name}.png" for name in _figures(evidence)}
    origins, ablations = _origins(figures), read_ablations(ABLATIONS)
    sections = page_sections(evidence.results, figures, origins, ablations_section(ablations, path))
    write_page(path, "DALL·E in miniature: what this run found", summary(evidence.results), sections)


def _origins(figures: Iterable[str]) -> dict[str, Origin]:
    """Stages and what they made, with DVC's digests: nothing that differs between two identical runs."""
    raw = read_yaml(Path("params.yaml"))
    pipeline, presets = read_pipeline(Path("dvc.yaml"), raw), read_presets(Path("presets"))
    made, leaves = digests(), flatten(raw)

    def origin(figure: str) -> Origin:
        stages = figure_stages(figure, pipeline)
        if not stages:
            return Origin(text="Numbers quoted from publications, which are part of the code.", table=Table(header=(), rows=()))
        found = parameters_behind(stages, leaves, presets)
        words = f" but for {'; '.join(found.differing)}" if found.differing else ""
        outs = [(entry.address, out) for entry in stages for out in entry.outs if out in made and not is_record(out)]
        rows = [(address, out, made[out]) for address, out in outs]
        return Origin(
            text=f"Parameters: those of preset {found.preset}{words}. Runs and commits: dalle trace {figure}",
            table=Table(header=("stage", "made", "md5"), rows=rows),
        )

    return {figure: origin(figure) for figure in figures}


def _figures(evidence: Evidence) -> dict[str, Callable[[], Figure]]:
    figures: dict[str, Callable[[], Figure]] = {
        "miniature_world": lambda: _world(evidence),
        "filter_examples": lambda: _filtering(evidence),
        "reconstructions": lambda: _reconstructions(evidence),
        "published_numbers": published_numbers,
        "human_evaluation": lambda: human_evaluation(
            evidence.votes, evidence.results.metrics["tally_votes"], **evidence.results.compared._asdict()
        ),
    }
    if evidence.params.train_prior.kind == "transformer":
        figures["attention_masks"] = _masks
    plans = {stage: (stage, plan) for stage, plan in PLANS.items()}
    tuned = [f"finetune_prior-{domain}" for domain in evidence.params.finetune_prior.domains]
    plans |= {stage: (stage, FINETUNING) for stage in tuned}
    plans |= {f"train_dfgan-{domain}": (f"train_baseline-dfgan-{domain}", DFGAN) for domain in evidence.params.domains}
    for figure, (stage, plan) in plans.items():
        curves, plan = evidence.curves[stage], plan.of(evidence.curves[stage])
        figures[figure] = lambda curves=curves, plan=plan: training_curves(
            curves, plan.groups, plan.schedules, title=plan.title, model=plan.model
        )
    text_encoder = evidence.params.train_baseline.dfgan.text_encoder
    table, labels = evidence.results.evaluation, {"dfgan": dfgan_label(text_encoder)}
    for domain in evidence.params.domains:
        dataset, published = evidence.dataset(domain), domain not in evidence.results.names
        size = evidence.params.evaluate.blur_reference_size
        figures[f"samples-{domain}"] = lambda domain=domain: _samples(evidence, domain)
        figures[f"best_of-{domain}"] = lambda domain=domain: _best_of(evidence, domain)
        figures[f"memorisation-{domain}"] = lambda domain=domain: memorisation_figure(evidence, domain)
        figures[f"overlap-{domain}"] = lambda domain=domain: overlap_figure(evidence, domain)
        shared = {"dataset": dataset, "published": published}
        figures[f"rerank_curves-{domain}"] = lambda domain=domain, shared=shared: rerank_curves(table, domain, **shared)
        figures[f"blur_curves-{domain}"] = lambda domain=domain, shared=shared: blur_curves(
            table, domain, **shared, reference_size=size, labels=labels
        )
        if len(evidence.results.rows(domain, "caption_accuracy")):
            figures[f"caption_accuracy-{domain}"] = lambda domain=domain, words=dataset: caption_accuracy(
                table, domain, dataset=words
            )
    if evidence.completions is not None:
        figures["completion"] = lambda: _completion(evidence, evidence.completions)
    return figures


def _world(evidence: Evidence) -> Figure:
    """The first kept training pairs: web pages come in no order, so these are a fair sample."""
    pairs = read_manifest(Path("data/filtered/pairs.parquet")).head(NUM_PAIRS_SHOWN)
    images = load_evaluation_images(pairs, evidence.params.image_size)
    world = evidence.results.world
    subtitle = f"the first {len(pairs)} of {int(evidence.results.number('filter_data', 'pairs/kept')):,} kept training pairs"
    return miniature_world(images, pairs["caption"].tolist(), f"Pairs of {world}", subtitle)


def _filtering(evidence: Evidence) -> Figure:
    """The first examples of each rule, in the order of the dropped pairs; of these, however many there are, a few are held."""
    wanted = _first_dropped(Path("data/filtered/dropped.csv"))
    rows = [part[part["pair_id"].isin(wanted["pair_id"])] for part in iterate_manifest(Path("data/prepared/web.parquet"))]
    pairs = pd.concat(rows).set_index("pair_id")
    examples: dict[str, list[Example]] = {}
    for pair_id, rule, detail in wanted.itertuples(index=False):
        row, of_rule = pairs.loc[pair_id], examples.setdefault(rule, [])
        if len(of_rule) < EXAMPLES_PER_RULE and _can_be_drawn(row["caption"]):
            of_rule.append((_image_or_none(row), row["caption"], detail))
    num_pairs = int(evidence.results.number("filter_data", "pairs/total"))
    return filter_examples(filter_counts(evidence.results), examples, num_pairs)


def _first_dropped(file: Path) -> pd.DataFrame:
    """`pair_id, rule, detail` of the first pairs of each rule, more than are shown: some captions cannot be drawn."""
    found = pd.DataFrame(columns=["pair_id", "rule", "detail"], dtype=str)
    for some in pd.read_csv(file, dtype=str, keep_default_na=False, chunksize=10_000):
        found = pd.concat([found, some]).groupby("rule", sort=False).head(20 * EXAMPLES_PER_RULE)
    return found


def _can_be_drawn(text: str) -> bool:
    """Whether matplotlib's own font has these letters: Latin, Greek, Cyrillic and their neighbours."""
    return all(ord(character) < 0x0590 for character in text)


def _image_or_none(row: pd.Series) -> np.ndarray | None:
    try:
        return load_image(row["file"], row["offset"], row["num_bytes"], tuple(row[list(BOX)]))
    except ValueError:
        return None


def _reconstructions(evidence: Evidence) -> Figure:
    images = one_row_per_image(read_manifest(Path("data/filtered/pairs.parquet")))
    shown = images[images["split"] == "valid"].head(evidence.params.report.columns)
    originals = load_evaluation_images(shown, evidence.params.image_size)
    dvae = load_dvae(Path("models/dvae"))
    image_tokens = encode_images(dvae, originals, batch_size=len(originals), device="cpu", precision="fp32")
    decoded = decode_codes(dvae, image_tokens, len(originals), "cpu")
    pixels = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255 for batch in (originals, decoded))
    return reconstructions(originals, decoded, psnr_db(*pixels).numpy())


def _masks() -> Figure:
    """One of each kind of mask that the trained prior has, in the order of its layers."""
    config = load_prior(Path("models/prior")).config
    kinds = dict.fromkeys(config.masks)
    masks = {kind: sequence_mask(kind, config.text_length, config.grid_size, config.conv_kernel).numpy() for kind in kinds}
    return attention_masks(masks, config.text_length, config.grid_size)


def _samples(evidence: Evidence, domain: str) -> Figure:
    """The first captions with the picture they were written for, and what every model whose captions are known drew."""
    reranked, columns = evidence.reranked[domain], evidence.params.report.columns
    shown = read_captions(domain).head(columns)
    pairs = one_row_per_image(read_manifest(Path(f"data/prepared/{domain}.parquet"))).set_index("image_id")
    known = {name: samples for name, samples in evidence.rivals[domain].items() if samples.captions is not None}
    styles = model_styles(known)
    rows = {
        "Validation": load_evaluation_images(pairs.loc[shown["image_id"]], evidence.params.image_size),
        f"DALL-E, best of {reranked.sweep[-1]}": reranked.images[reranked.winners[: len(shown), -1]],
    }
    for name in sorted(known, key=lambda name: name != FINETUNED):
        of_many = f" on {TRAINED_ON[domain]}, best of {reranked.sweep[-1]}" if name == FINETUNED else ""
        rows[styles[name].label + of_many] = known[name].images[: len(shown)]
    if len(rows) < MOST_ROWS:
        rows["DALL-E, first sample"] = reranked.images[reranked.winners[: len(shown), 0]]
    return samples(shown["caption"].tolist(), rows, dataset=evidence.dataset(domain))


def _best_of(evidence: Evidence, domain: str) -> Figure:
    reranked, config = evidence.reranked[domain], evidence.params.report
    columns = [reranked.sweep.index(number) for number in config.best_of]
    winners = reranked.winners[: config.columns, columns]
    ranking = pd.read_csv(f"reranked/{domain}/ranking.csv", dtype={"caption_id": str})
    scores = ranking.pivot(index="caption_id", columns="candidates", values="score")
    shown = read_captions(domain).head(config.columns)
    return best_of(
        shown["caption"].tolist(),
        reranked.images[winners],
        config.best_of,
        scores.loc[shown["caption_id"], list(config.best_of)].to_numpy(),
    )


def _completion(evidence: Evidence, completions: Completions) -> Figure:
    """The first pictures with CLIP's choice, the first few samples and, where they can be judged, the pictures themselves."""
    shown = read_manifest(Path("data/prepared/panels.parquet")).head(evidence.params.report.columns)
    pictures = load_evaluation_images(shown, evidence.params.image_size)
    num_candidates = completions.images.shape[1]
    numbers: dict[str, int | np.ndarray] = {"DALL-E, first sample": 0}
    numbers |= {f"DALL-E, sample {number + 1}": number for number in range(1, min(num_candidates, NUM_COMPLETIONS_SHOWN))}
    if num_candidates > 1:
        numbers = {f"DALL-E, best of {num_candidates}": completions.best, **numbers}
    rows, told = {}, {}
    for name, number in numbers.items():
        images, as_asked = completions.candidate(number)
        rows[name] = images[: len(shown)]
        told[name] = () if as_asked is None else as_asked[: len(shown)]
    if completions.as_asked is not None:
        rows["The picture"] = pictures
    params = evidence.params
    kept = params.complete.rows / params.train_dvae.model(params.image_size).grid_size
    return completion(shown["caption"].tolist(), pictures, kept, rows, told, subtitle=completion_subtitle(evidence.results))
