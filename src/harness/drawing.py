"""The commands `dalle generate` and `dalle complete`: pictures of captions by the models that the pipeline made."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from dalle.generation.model_set import ModelSet
    from dalle.generation.sampling import SampleConfig
    from dalle.generation.text_to_image import BestCandidates

USUAL_TOP = 8

Candidates = Annotated[int, typer.Option(metavar="N", help="how many to draw; the paper draws 512")]
Top = Annotated[int | None, typer.Option(metavar="K", help="how many to show, the best by CLIP: 8 where not given")]
Out = Annotated[Path, typer.Option(metavar="FILE.png", help="the picture to write, in the place of one that is there")]
Folder = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="a new folder, or an empty one, for the single pictures and samples.csv")
]
Seed = Annotated[int, typer.Option(help="a candidate depends on the seed, the caption and its own number alone")]
Temperature = Annotated[float, typer.Option(help="below 1 for likelier pictures that differ less")]
TopK = Annotated[int | None, typer.Option(help="draw each token from this many, the likeliest: from all where not given")]
TopP = Annotated[float | None, typer.Option(help="or from the likeliest that make up this share")]
BatchSize = Annotated[int, typer.Option(help="candidates drawn at once; fewer need less memory")]
Precision = Annotated[Literal["fp32", "bf16"], typer.Option(help="bf16 is faster; in fp32 the batch size changes no picture")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU where there is one")]
Models = Annotated[Path, typer.Option(metavar="FOLDER", help="holds tokenizer, prior, dvae and clip")]


def generate(
    captions: Annotated[list[str], typer.Argument(metavar="CAPTION", help="what to draw; each of several gets its own row")],
    candidates: Candidates = 64,
    top: Top = None,
    out: Out = Path("grid.png"),
    folder: Folder = None,
    seed: Seed = 0,
    temperature: Temperature = 1.0,
    top_k: TopK = None,
    top_p: TopP = None,
    batch_size: BatchSize = 64,
    precision: Precision = "fp32",
    device: Device = "auto",
    models: Models = Path("models"),
) -> None:
    """Draw a caption many times, and show the best pictures by CLIP.

    Examples:
      dalle generate "a small red circle above a blue square"
      dalle generate "a red star" "a large pink heart" --candidates 256 --top 4
      dalle generate "a red star" --seed 1 --temperature 0.9 --out star.png
    """
    _wait_passively()
    from dalle.generation.text_to_image import draw_candidates

    config = _config(candidates, temperature, top_k, top_p, batch_size, precision)
    request = _Request(captions=captions, config=config, top=_top(top, candidates), seed=seed, out=out, folder=folder)
    model_set, device = _prepare(request, models, device)
    drawn = draw_candidates(model_set, captions, config, seed=seed, device=device)
    _finish(request, model_set, drawn, device)


def complete(
    caption: Annotated[str, typer.Argument(metavar="CAPTION", help="what the whole picture shows")],
    image: Annotated[Path, typer.Option(metavar="FILE", help="the picture, of which the middle square is taken")],
    rows: Annotated[int, typer.Option(metavar="N", help="how many rows of its image tokens to keep, from the top")],
    candidates: Candidates = 64,
    top: Top = None,
    out: Out = Path("completed.png"),
    folder: Folder = None,
    seed: Seed = 0,
    temperature: Temperature = 1.0,
    top_k: TopK = None,
    top_p: TopP = None,
    batch_size: BatchSize = 64,
    precision: Precision = "fp32",
    device: Device = "auto",
    models: Models = Path("models"),
) -> None:
    """Keep the top of a picture, and draw the rest of it under a caption.

    Examples:
      dalle complete --image photo.jpg --rows 6 "a red circle above a blue square"
      dalle complete --image photo.jpg --rows 6 "a red star" --seed 1 --top 4
    """
    _wait_passively()
    from dalle.data.images import evaluation_crop
    from dalle.generation.completion import given_tokens
    from dalle.generation.text_to_image import draw_candidates
    from dalle.report.figures.candidates import greyed_below

    config = _config(candidates, temperature, top_k, top_p, batch_size, precision)
    request = _Request(captions=[caption], config=config, top=_top(top, candidates), seed=seed, out=out, folder=folder)
    picture = _load_picture(image)
    model_set, device = _prepare(request, models, device)
    dvae = model_set.dvae
    cropped = evaluation_crop(picture, dvae.config.image_size)
    given = given_tokens(dvae, cropped[None], rows=rows, batch_size=1, device=device, precision=precision)
    drawn = draw_candidates(model_set, [caption], config, seed=seed, device=device, given=given)
    shown = greyed_below(cropped, rows * dvae.config.downsampling)
    _finish(request, model_set, drawn, device, given=shown, note=f"{rows} of {dvae.config.grid_size} rows of tokens given · ")


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What the two commands have in common."""

    captions: list[str]
    config: "SampleConfig"
    top: int
    seed: int
    out: Path
    folder: Path | None


def _wait_passively() -> None:
    """Before torch is loaded: threads that wait without spinning, as in everything that make starts."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _config(
    candidates: int, temperature: float, top_k: int | None, top_p: float | None, batch_size: int, precision: str
) -> "SampleConfig":
    from dalle.generation.sampling import SampleConfig

    return SampleConfig(
        long_captions="truncate",
        candidates=candidates, temperature=temperature, top_k=top_k, top_p=top_p, batch_size=batch_size, precision=precision
    )


def _top(top: int | None, candidates: int) -> int:
    return min(USUAL_TOP, candidates) if top is None else top


def _load_picture(path: Path) -> "np.ndarray":
    """uint8 (H, W, 3), as the pictures of a corpus are read."""
    from dalle.data.images import load_image

    if not path.is_file():
        raise ValueError(f"--image {path}: no such file")
    return load_image(str(path), 0, path.stat().st_size)


def _prepare(request: _Request, folder: Path, device: str) -> tuple["ModelSet", str]:
    """Whatever can be wrong, said before anything is drawn: the models, and the device to draw on."""
    from dalle.generation.model_set import load_model_set
    from dalle.generation.text_to_image import check_request, cut_off
    from harness.hardware import use_device

    check_request(request.captions, candidates=request.config.candidates, top=request.top)
    _check_targets(request.out, request.folder)
    device = use_device(device, threads=0, setting="--device")
    for name in ("tokenizer", "prior", "dvae"):
        if not (folder / name).is_dir():
            raise ValueError(f"{folder / name}: no such folder: run `dvc repro` first, or name other models by --models")
    if not (folder / "clip").is_dir() and request.top < request.config.candidates:
        choice = f"only CLIP can choose {request.top} of {request.config.candidates} candidates"
        instead = f"run `dvc repro` first, or draw no more than are shown (--candidates {request.top})"
        raise ValueError(f"{folder / 'clip'}: no such folder, and {choice}: {instead}")
    models = load_model_set(folder)
    for caption in request.captions:
        for reader, rest in cut_off(models, caption).items():
            print(f"WARNING: '{caption}' is too long for {reader}, which does not read its end: '{rest}'", file=sys.stderr)
    return models, device


def _check_targets(out: Path, folder: Path | None) -> None:
    if out.suffix.lower() != ".png" or out.is_dir():
        raise ValueError(f"--out {out}: a PNG is written: name a file that ends in .png")
    if not out.parent.is_dir():
        raise ValueError(f"--out {out}: there is no folder {out.parent}: make it first")
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--folder {folder}: is there already: name a new folder, or an empty one")


def _finish(
    request: _Request, models: "ModelSet", drawn: "np.ndarray", device: str, given: "np.ndarray | None" = None, note: str = ""
) -> None:
    """Choose, print who was chosen, and write the files."""
    from dalle.generation.text_to_image import choose_best, write_samples
    from dalle.report.style import save_figure
    from harness.outputs import written_whole

    batch_size = request.config.batch_size
    chosen = choose_best(models, request.captions, drawn, top=request.top, batch_size=batch_size, device=device)
    for best in chosen:
        _print_ranking(best)
    save_figure(_sheet(request, chosen, given, note), request.out)
    print(f"written: {request.out}")
    if request.folder is not None:
        with written_whole(request.folder) as folder:
            write_samples(chosen, folder)
        print(f"written: {request.folder / 'samples.csv'}, {len(chosen) * request.top} pictures")


def _print_ranking(best: "BestCandidates") -> None:
    scored = best.scores is not None
    print(best.caption)
    print("  rank  candidate" + "   CLIP" * scored)
    for rank, number in enumerate(best.numbers, start=1):
        print(f"  {rank:4}  {number:9}" + (f"  {best.scores[rank - 1]:5.3f}" if scored else ""))


def _sheet(request: _Request, chosen: "list[BestCandidates]", given: "np.ndarray | None", note: str) -> "Figure":
    from dalle.report.figures.candidates import CandidateRow, candidates

    config, scored = request.config, chosen[0].scores is not None
    num, what = config.candidates, "candidates" if given is None else "completions"
    if not scored:
        title = f"{num} {what} in the order drawn"
    else:
        title = f"The best {request.top} of {num} {what} by CLIP"
    settings = {"seed": request.seed, "temperature": config.temperature, "top-k": config.top_k, "top-p": config.top_p}
    drawn = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    size = "{} × {} pixels".format(*chosen[0].images.shape[1:3])
    below = "below: number, CLIP similarity (↑ higher is better)" if scored else "below: number"
    rows = [
        CandidateRow(
            caption=best.caption,
            images=best.images,
            below=[f"{number} · {best.scores[i]:.3f}" if scored else f"{number}" for i, number in enumerate(best.numbers)],
            given=given,
        )
        for best in chosen
    ]
    return candidates(title, f"{note}{drawn} · {size} · {below}", rows)
