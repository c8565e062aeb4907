"""The corpora, rendered or found, as manifests of one schema (2.3, App. C)."""

from pathlib import Path

import pandas as pd

from dalle.data.manifest import manifest_from_rows, write_manifest
from dalle.data.sources.captioned_folder import read_captioned_folder
from dalle.data.sources.coco import read_coco
from dalle.data.sources.cub import read_cub
from dalle.data.sources.problems import require_few_problems
from dalle.data.sources.webdataset import read_webdataset
from dalle.miniworld.corpora import read_truth, render_coco, render_cub, render_panels, render_web
from dalle.randomness import derive_seed
from harness.run_config import MINIWORLD, source_key
from harness.stage import Stage, run_stage

RENDER = {"web": render_web, "coco": render_coco, "cub": render_cub, "panels": render_panels}
READ = {"web": read_webdataset, "coco": read_coco, "cub": read_cub, "panels": read_captioned_folder}


def main(stage: Stage) -> None:
    config = stage.params.prepare_data
    own = config.web in stage.params.domains  # the training pairs are that corpus's own
    sources = {corpus: getattr(config, corpus) for corpus in (*([] if own else ["web"]), *stage.params.domains)}
    if stage.params.complete.source is not None:
        sources["panels"] = stage.params.complete.source
    rendered = Path("data/miniworld")
    seed = derive_seed(stage.params.seed, "miniworld")
    with stage.output(rendered) as folder:
        folder.mkdir(parents=True, exist_ok=True)
        for corpus in [name for name, source in sources.items() if source == MINIWORLD]:
            RENDER[corpus](config.miniworld, seed, folder / corpus)
    metrics = {}
    with stage.output("data/prepared") as folder:
        (folder / "truth").mkdir(parents=True)
        if "panels" not in sources:  # nothing is to be completed
            write_manifest(manifest_from_rows([]), folder / "panels.parquet")
        for corpus, source in sources.items():
            place = rendered / corpus if source == MINIWORLD else Path(source)
            manifest, problems = READ[corpus](place)
            for problem in problems:
                print(f"{corpus}: {problem}")
            require_few_problems(problems, len(manifest), f"{source_key(corpus)} ({place})")
            write_manifest(manifest, folder / f"{corpus}.parquet")
            if source == MINIWORLD:
                read_truth(corpus, place).to_parquet(folder / "truth" / f"{corpus}.parquet")
            metrics |= counts(corpus, manifest, len(problems))
            if own and corpus == config.web:
                pairs = training_pairs(manifest, f"prepare_data.web is {corpus}, but {place}")
                write_manifest(pairs, folder / "web.parquet")
                metrics |= counts("web", pairs, 0)
    stage.finish(metrics)


def training_pairs(manifest: pd.DataFrame, what: str) -> pd.DataFrame:
    """A corpus's own `train` split: nothing that is evaluated is among the pairs that everything is trained on."""
    pairs = manifest[manifest["split"] == "train"].reset_index(drop=True)
    if pairs.empty:
        raise ValueError(f"{what} has no pairs of split 'train': add its training part, or name other training pairs")
    return pairs


def counts(corpus: str, manifest: pd.DataFrame, num_problems: int) -> dict[str, int]:
    images = int(manifest["image_id"].nunique())
    return {f"{corpus}/pairs": len(manifest), f"{corpus}/images": images, f"{corpus}/problems": num_problems}


if __name__ == "__main__":
    run_stage(main)
