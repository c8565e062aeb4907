"""The corpora, rendered or found, as manifests of one schema (2.3, App. C)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from dalle.data.manifest import iterate_manifest, manifest_from_rows, manifest_writer, write_manifest
from dalle.data.sources.captioned_folder import read_captioned_folder
from dalle.data.sources.coco import read_coco
from dalle.data.sources.cub import read_cub
from dalle.data.sources.problems import require_few_problems
from dalle.data.sources.webdataset import iterate_webdataset
from dalle.miniworld.corpora import read_truth, render_coco, render_cub, render_panels, render_web
from dalle.randomness import derive_seed
from harness.run_config import MINIWORLD, source_key
from harness.stage import Stage, run_stage

Parts = Iterator[tuple[pd.DataFrame, list[str]]]  # of a source: (manifest, problems)


def in_one_part(read: Callable[[Path], tuple[pd.DataFrame, list[str]]]) -> Callable[[Path], Parts]:
    """A reader of a whole corpus as one that reads it part by part."""
    return lambda folder: iter([read(folder)])


RENDER = {"web": render_web, "coco": render_coco, "cub": render_cub, "panels": render_panels}
READ = {
    "web": iterate_webdataset,
    "coco": in_one_part(read_coco),
    "cub": in_one_part(read_cub),
    "panels": in_one_part(read_captioned_folder),
}


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
            named = f"{source_key(corpus)} ({place})"
            metrics |= write_corpus(corpus, READ[corpus](place), folder / f"{corpus}.parquet", named)
            if source == MINIWORLD:
                read_truth(corpus, place).to_parquet(folder / "truth" / f"{corpus}.parquet")
            if own and corpus == config.web:
                what = f"prepare_data.web is {corpus}, but {place}"
                pairs = training_pairs(pd.concat(iterate_manifest(folder / f"{corpus}.parquet")), what)
                metrics |= write_corpus("web", iter([(pairs, [])]), folder / "web.parquet", what)
    stage.finish(metrics)


def write_corpus(corpus: str, parts: Parts, path: Path, source: str) -> dict[str, int]:
    """The manifest at `path`, what is wrong with the source on the screen, and how much there is of everything."""
    num_images, all_problems = 0, []
    with manifest_writer(path) as writer:
        for manifest, problems in parts:
            for problem in problems:
                print(f"{corpus}: {problem}")
            writer.write(manifest)
            num_images += manifest["image_id"].nunique()
            all_problems += problems
        require_few_problems(all_problems, writer.num_pairs, source)
    return {f"{corpus}/pairs": writer.num_pairs, f"{corpus}/images": num_images, f"{corpus}/problems": len(all_problems)}


def training_pairs(manifest: pd.DataFrame, what: str) -> pd.DataFrame:
    """A corpus's own `train` split: nothing that is evaluated is among the pairs that everything is trained on."""
    pairs = manifest[manifest["split"] == "train"].reset_index(drop=True)
    if pairs.empty:
        raise ValueError(f"{what} has no pairs of split 'train': add its training part, or name other training pairs")
    return pairs


if __name__ == "__main__":
    run_stage(main)
