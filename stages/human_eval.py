"""Pairs of pictures for people to judge: pages, key, exports, and sample sheets of every caption (App. F, Fig. 3, 7, 13)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dalle.data.evaluation_captions import evaluation_pairs
from dalle.data.images import load_evaluation_images
from dalle.data.manifest import one_row_per_image, read_manifest
from dalle.evaluation.samples import read_reranked
from dalle.human_eval.exports import write_exports
from dalle.human_eval.page import sheet_page
from dalle.human_eval.pairs import SheetPlan, plan_sheets
from dalle.human_eval.pictures import ModelPictures, PairPictures, check_complete, pixels, reranked_pictures, rival_pictures
from dalle.human_eval.sheets import ShownSheet, shown_sheet, write_key
from dalle.report.figures.sample_sheets import sample_sheets
from dalle.report.figures.voting_sheets import PaperPair, voting_sheets
from dalle.report.paper import save_paper
from dalle.report.style import model_styles
from harness.rivals import rival_samples
from harness.run_config import MINIWORLD
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config, size, seed = stage.params.human_eval, stage.params.image_size, stage.params.seed
    every = pd.read_csv(f"samples/{config.domain}/captions.csv", dtype=str, keep_default_na=False)
    captions = every if config.num_pairs is None else every.head(config.num_pairs)
    reranked = read_reranked(Path(f"reranked/{config.domain}"))
    rivals = rival_samples(stage.params, config.domain, every, stage.root)
    known = {name: rival_pictures(name, rival) for name, rival in rivals.items() if rival.captions is not None}
    models = {"dalle": reranked_pictures(reranked), **known}
    check_complete(models, captions["caption_id"].tolist())
    controls = evaluation_pairs(read_manifest(Path(f"data/prepared/{config.domain}.parquet")), config.domain)
    plans = plan_sheets(captions, controls.rename(columns={"pair_id": "caption_id"}), config, seed)
    real = real_pictures(controls, plans, captions["image_id"].tolist(), size)
    with stage.output("human_eval") as folder:
        (folder / "sheets").mkdir(parents=True)
        arranged, pair_ids = [], []
        pictures = PairPictures(models, real, size, seed)
        for plan in plans:
            sheet = shown_sheet(plan, pictures, seed)
            (folder / "sheets" / f"{sheet.sheet_id}.html").write_text(sheet_page(sheet, size), encoding="utf-8")
            pair_ids.append([pair.pair_id for pair in sheet.pairs])
            if plan.rater == 1:
                arranged.append((plan, sheet))
        write_key(plans, pair_ids, folder / "key.csv")
        write_exports(folder / "exports", arranged)
        save_paper(voting_pages([sheet for _, sheet in arranged]), folder / "voting_sheets.pdf")
        rows = sample_rows(models, real, captions, candidates=reranked.sweep[-1])
        save_paper(sample_sheets(captions["caption"].tolist(), rows, dataset=dataset(stage)), folder / "sample_sheets.pdf")
    stage.finish(counts(plans, config.model))


def real_pictures(
    controls: pd.DataFrame, plans: Sequence[SheetPlan], shown: Sequence[str], size: int
) -> dict[str, np.ndarray]:
    """By image id, the real pictures of the attention checks and those of the captions that are compared."""
    needed = {*shown, *(image_id for plan in plans for pair in plan.pairs for image_id in (pair.image_id, pair.other_image_id))}
    rows = one_row_per_image(controls[controls["image_id"].isin(needed)])
    return dict(zip(rows["image_id"], load_evaluation_images(rows, size), strict=True))


def voting_pages(sheets: Sequence[ShownSheet]) -> Iterator[Figure]:
    """Paper versions of the sheets."""
    for sheet in sheets:
        pairs = [PaperPair(caption=pair.caption, left=pixels(pair.left), right=pixels(pair.right)) for pair in sheet.pairs]
        yield from voting_sheets(sheet.sheet_id, pairs)


def sample_rows(
    models: Mapping[str, ModelPictures], real: Mapping[str, np.ndarray], captions: pd.DataFrame, *, candidates: int
) -> dict[str, np.ndarray]:
    """The rows of Fig. 3: the validation images, ours, and every rival."""
    labels = {name: style.label for name, style in model_styles(models).items()}
    labels["dalle"] += f", best of {candidates}"
    rows = {"Validation": np.stack([real[image_id] for image_id in captions["image_id"]])}
    for name, model in models.items():
        rows[labels[name]] = model.images[[model.rows[caption_id] for caption_id in captions["caption_id"]]]
    return rows


def dataset(stage: Stage) -> str:
    """The domain's data in words: where it is real, by its folder alone, which may hold anybody's pictures."""
    domain = stage.params.human_eval.domain
    source = getattr(stage.params.prepare_data, domain)
    return {"coco": "the miniature MS-COCO", "cub": "the miniature CUB"}[domain] if source == MINIWORLD else source


def counts(plans: Sequence[SheetPlan], model: str) -> dict[str, float]:
    """How much there is to judge, and whether `model` is on either side equally often."""
    pairs = [pair for plan in plans for pair in plan.pairs]
    compared = [pair for pair in pairs if pair.kind == "pair"]
    return {
        "sheets/total": len(plans),
        "sheets/batches": plans[-1].batch,
        "pairs/captions": len({pair.caption_id for pair in compared}),
        "pairs/shown": len(compared),
        "pairs/repeats": sum(pair.kind == "repeat" for pair in pairs),
        "pairs/attention_checks": sum(pair.kind.startswith("attention") for pair in pairs),
        "sides/model_left": sum(pair.left == model for pair in compared) / len(compared),
    }


if __name__ == "__main__":
    run_stage(main)
