"""The corpora, rendered or found, as manifests of one schema (2.3, App. C)."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dalle.data.evaluation_captions import EVALUATION_SPLITS, choose_captions, evaluation_pairs
from dalle.data.manifest import iterate_manifest, manifest_from_rows, manifest_writer, read_manifest, write_manifest
from dalle.data.sources.decodable import without_undecodable
from dalle.data.sources.division import divided, require_apart
from dalle.data.sources.layouts import CAPTIONED, COCO, CUB, Layout, find_layout
from dalle.data.sources.originals import compared, compared_classes, original_sizes
from dalle.data.sources.problems import require_few_problems, without_notes
from dalle.data.sources.reading import Parts, read_corpus
from dalle.data.text_files import escaped
from dalle.miniworld.corpora import read_truth, render_coco, render_cub, render_panels, render_web
from dalle.randomness import derive_seed
from harness.run_config import MINIWORLD, source_key
from harness.stage import Stage, run_stage

if TYPE_CHECKING:
    from harness.params_tree import Params

RENDER = {"web": render_web, "coco": render_coco, "cub": render_cub, "panels": render_panels}
RENDERED = Path("data/miniworld")


def main(stage: Stage) -> None:
    params, config = stage.params, stage.params.prepare_data
    sources = params.sources
    places = {corpus: RENDERED / corpus if source == MINIWORLD else Path(source) for corpus, source in sources.items()}
    rendered = [corpus for corpus, source in sources.items() if source == MINIWORLD]
    # what is wrong with a folder is said before anything is rendered
    layouts = {corpus: find_layout(corpus, place) for corpus, place in places.items() if corpus not in rendered}
    split_of = default_splits(params, places, layouts)
    with stage.output(RENDERED) as folder:
        folder.mkdir(parents=True, exist_ok=True)
        for corpus in rendered:
            RENDER[corpus](config.miniworld, derive_seed(params.seed, "miniworld"), folder / corpus)
    layouts |= {corpus: find_layout(corpus, places[corpus]) for corpus in rendered}
    metrics = {}
    with stage.output("data/prepared") as folder:
        (folder / "truth").mkdir(parents=True)
        if "panels" not in sources:  # nothing is to be completed
            write_manifest(manifest_from_rows([]), folder / "panels.parquet")
        for corpus, place in places.items():
            path, named = folder / f"{corpus}.parquet", f"{source_key(corpus)} ({place})"
            parts = read_corpus(corpus, place, layouts[corpus], config, split_of[corpus], stage.scratch / corpus)
            metrics |= write_corpus(corpus, parts, path, named)
            if corpus in rendered:
                read_truth(corpus, place).to_parquet(folder / "truth" / f"{corpus}.parquet")
            if corpus in params.domains:
                metrics |= domain_metrics(corpus, read_manifest(path), layouts[corpus], corpus in rendered, named, params)
            if corpus == config.web:
                what = f"prepare_data.web is {corpus}, but {place}"
                pairs = training_pairs(pd.concat(iterate_manifest(path)), what)
                metrics |= write_corpus("web", iter([(pairs, [])]), folder / "web.parquet", what)
        names = {corpus: MINIWORLD if corpus in rendered else layout.name for corpus, layout in layouts.items()}
        described = {corpus: {"layout": names[corpus], "folder": str(place)} for corpus, place in places.items()}
        (folder / "sources.json").write_text(json.dumps(described, indent=2) + "\n")
    stage.finish(metrics)


def default_splits(
    params: "Params", places: Mapping[str, Path], layouts: Mapping[str, Layout]
) -> dict[str, Callable[[str], str]]:
    """For every corpus the split of an image that states none: a captioned folder that is trained on and evaluated is divided.

    Folders of which one lies within the other are a `ValueError`: the same picture would be trained on and evaluated.
    """
    config = params.prepare_data
    training = config.web if config.web in params.domains else "web"
    evaluated = {corpus: place for corpus, place in places.items() if corpus != "web"}
    splits = {corpus: (lambda _: "train") if corpus == "web" else (lambda _: "test") for corpus in places}
    if layouts.get(training) is CAPTIONED:
        require_apart(places[training], [(source_key(corpus), place) for corpus, place in evaluated.items()])
        if any(place.resolve() == places[training].resolve() for place in evaluated.values()):
            shared = [corpus for corpus, place in places.items() if place.resolve() == places[training].resolve()]
            splits |= dict.fromkeys(shared, divided(config.folder_evaluated, params.seed))
    return splits


def write_corpus(corpus: str, parts: Parts, path: Path, source: str) -> dict[str, int]:
    """The manifest at `path`, what is wrong with the source on the screen, and how much there is of everything."""
    num_images, all_problems = 0, []
    with manifest_writer(path) as writer:
        for manifest, problems in parts:
            if corpus != "web":
                manifest, broken = without_undecodable(manifest, manifest["split"] != "train")
                problems = problems + broken
            for problem in problems:
                print(f"{corpus}: {escaped(problem)}")
            writer.write(manifest)
            num_images += manifest["image_id"].nunique()
            all_problems += without_notes(problems)
        require_few_problems(all_problems, writer.num_pairs, source)
    return {f"{corpus}/pairs": writer.num_pairs, f"{corpus}/images": num_images, f"{corpus}/problems": len(all_problems)}


def domain_metrics(
    domain: str, manifest: pd.DataFrame, layout: Layout, is_rendered: bool, source: str, params: "Params"
) -> dict[str, int]:
    """How many images and captions are evaluated; what a real corpus lacks of the original is said on the screen."""
    split = EVALUATION_SPLITS[domain]
    if not (manifest["split"] == split).any():
        raise ValueError(
            f"{source}: none of {len(manifest)} pairs is of split '{split}', so there is nothing to evaluate: add it to the "
            "folder, or raise prepare_data.folder_evaluated where a captioned folder is divided"
        )
    if layout in (COCO, CUB) and not is_rendered:
        sizes = original_sizes(domain, params.prepare_data)
        notes = [*compared(manifest, sizes)]
        notes += compared_classes(manifest, params.prepare_data.cub_split) if layout is CUB else []
        print("\n".join(f"{domain}: {note}" for note in notes))
    pairs = evaluation_pairs(manifest, domain)
    images = pairs["image_id"].nunique()
    captions = choose_captions(pairs, getattr(params.sample.captions, domain), params.sample.num_captions, params.seed)
    try:
        params.evaluate.check_sizes(len(captions), images)
    except ValueError as error:
        raise ValueError(
            f"{source}: too few pictures are evaluated: {error}. Lower it in section evaluate of params.yaml, or bring more "
            "(of a captioned folder that is trained on as well, the share prepare_data.folder_evaluated is evaluated)"
        ) from None
    return {f"{domain}/evaluated_pairs": len(pairs), f"{domain}/evaluated_images": images}


def training_pairs(manifest: pd.DataFrame, what: str) -> pd.DataFrame:
    """A corpus's own `train` split: nothing that is evaluated is among the pairs that everything is trained on."""
    pairs = manifest[manifest["split"] == "train"].reset_index(drop=True)
    if pairs.empty:
        raise ValueError(f"{what} has no pairs of split 'train': add its training part, or name other training pairs")
    return pairs


if __name__ == "__main__":
    run_stage(main)
