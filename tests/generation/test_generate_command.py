"""`dalle generate` and `dalle complete` from the command line to the files."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from dalle.data.images import evaluation_crop
from dalle.generation.completion import given_tokens
from dalle.generation.model_set import load_model_set
from dalle.generation.sampling import SampleConfig
from dalle.generation.text_to_image import choose_best, draw_candidates
from dalle.report import style
from harness import cli
from tiny_model_sets import save_all, save_dvae, save_tokenizer

CAPTION = "a red circle above a blue square"
CONFIG = SampleConfig(
    long_captions="truncate", candidates=5, temperature=1.0, top_k=None, top_p=None, batch_size=64, precision="fp32"
)


BELOW = "16 × 16 pixels · below: number, CLIP similarity (↑ higher is better)"
GENERATED = ("The best 3 of 5 candidates by CLIP", f"seed 123456789, temperature 1.0, top-k 9 · {BELOW}")
COMPLETED = (
    "The best 3 of 5 completions by CLIP",
    f"1 of 4 rows of tokens given · seed 0, temperature 1.0, top-p 0.9 · {BELOW}",
    "given",
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_all(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def here(saved, tmp_path, monkeypatch):
    """A working directory with the models in it, and a picture."""
    (tmp_path / "models").symlink_to(saved)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 24, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def dalle(here, capsys):
    def run(*arguments) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            cli.main([str(argument) for argument in arguments])
        return (stop.value.code, *capsys.readouterr())

    return run


def few(*more):
    return ("--candidates", 5, "--top", 3, *more)


def chosen_by_hand(captions, *, seed=0, given=None, top=3):
    models = load_model_set(Path("models"))
    drawn = draw_candidates(models, captions, CONFIG, seed=seed, device="cpu", given=given)
    return choose_best(models, captions, drawn, top=top, batch_size=64, device="cpu")


def test_generate_prints_the_ranking_and_writes_the_pictures(here, dalle):
    code, out, error = dalle("generate", CAPTION, "a red star", *few("--folder", "samples", "--seed", 7))
    assert code == 0 and "sample: 100%" in error and "clip scores: 100%" in error
    expected = chosen_by_hand([CAPTION, "a red star"], seed=7)
    lines = []
    for best in expected:
        lines += [best.caption, "  rank  candidate   CLIP"]
        pairs = zip(best.numbers, best.scores, strict=True)
        lines += [f"  {rank:4}  {number:9}  {score:5.3f}" for rank, (number, score) in enumerate(pairs, start=1)]
    assert out.splitlines() == [*lines, "written: grid.png", "written: samples/samples.csv, 6 pictures"]
    assert Image.open("grid.png").width == 1800
    listed = pd.read_csv("samples/samples.csv")
    assert listed["candidate"].tolist() == [number for best in expected for number in best.numbers]
    for file, image in zip(listed["file"], np.concatenate([best.images for best in expected]), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(here / "samples" / file)), image)
    assert sorted(path.name for path in here.iterdir()) == ["grid.png", "models", "photo.png", "samples"]


def test_the_same_seed_gives_the_same_file_and_another_seed_another(here, dalle):
    for name, more in (("a", ()), ("b", ("--batch-size", 2)), ("c", ("--seed", 1)), ("d", ("--temperature", 0.5))):
        assert dalle("generate", CAPTION, *few("--out", f"{name}.png", *more))[0] == 0
    first, again, other, colder = ((here / f"{name}.png").read_bytes() for name in "abcd")
    assert first == again and len({first, other, colder}) == 3


def test_the_picture_says_what_it_shows(dalle, monkeypatch):
    drawn = []
    monkeypatch.setattr(style, "save_figure", lambda figure, path: drawn.append(figure))
    assert dalle("generate", CAPTION, *few("--seed", 123456789, "--top-k", 9))[0] == 0
    assert dalle("complete", CAPTION, "--image", "photo.png", "--rows", 1, *few("--top-p", 0.9))[0] == 0
    for figure, words in zip(drawn, (GENERATED, COMPLETED), strict=True):
        shown = [text.get_text() for text in figure.findobj(Text)]
        assert [line for line in (*words, CAPTION) if line not in shown] == []


def test_eight_are_shown_or_all_of_fewer(dalle):
    assert "     8  " in dalle("generate", CAPTION, "--candidates", 9)[1]
    out = dalle("generate", CAPTION, "--candidates", 3)[1]
    assert "     3  " in out and "     4  " not in out


def test_a_picture_that_is_there_is_replaced(here, dalle):
    (here / "grid.png").write_text("mine")
    assert dalle("generate", CAPTION, *few())[0] == 0 and Image.open("grid.png").format == "PNG"


def test_complete_keeps_the_top_of_the_picture(here, dalle):
    """What is given are the tokens of the evaluation crop, also of a picture in another format, turned on its side."""
    picture = Image.open("photo.png")
    code, out, error = dalle("complete", "--image", "photo.png", "--rows", 2, CAPTION, *few("--folder", "samples"))
    assert code == 0, error
    models = load_model_set(here / "models")
    cropped = evaluation_crop(np.asarray(picture), 16)
    given = given_tokens(models.dvae, cropped[None], rows=2, batch_size=1, device="cpu", precision="fp32")
    (best,) = chosen_by_hand([CAPTION], given=given)
    assert out.splitlines()[-2:] == ["written: completed.png", "written: samples/samples.csv, 3 pictures"]
    for number, image in zip(best.numbers, best.images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(f"samples/images/0-{number}.png")), image)
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it back when it is shown
    turned.save("turned.png", exif=exif)
    code, again, _ = dalle("complete", "--image", "turned.png", "--rows", 2, CAPTION, *few())
    assert code == 0 and again.splitlines()[:-1] == out.splitlines()[:-2]


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P"])
def test_pictures_of_any_mode_can_be_completed(here, dalle, mode):
    name = "other.tif" if mode == "CMYK" else "other.png"
    Image.open("photo.png").convert(mode).save(name)
    assert dalle("complete", "--image", name, "--rows", 3, CAPTION, *few())[0] == 0


def test_a_long_caption_is_drawn_with_a_warning_that_says_what_was_lost(dalle):
    caption = "a red star and qwertzuiop asdfghjkl yxcvbnm"
    code, _, error = dalle("generate", caption, *few())
    warnings = [line for line in error.splitlines() if line.startswith("WARNING")]
    assert code == 0 and len(warnings) == 2
    for reader, warning in zip(("the prior", "CLIP"), warnings, strict=True):
        assert warning.startswith(f"WARNING: '{caption}' is too long for {reader}, which does not read its end: '")
        assert caption.endswith(warning.rsplit("'", 2)[1])


def test_without_clip_all_candidates_are_shown_as_they_were_drawn(here, saved, dalle):
    (here / "models").unlink()
    shutil.copytree(saved, here / "models", ignore=shutil.ignore_patterns("clip"))
    code, out, _ = dalle("generate", CAPTION, "--candidates", 2)
    assert code == 0
    assert out.splitlines()[1:] == ["  rank  candidate", "     1          0", "     2          1", "written: grid.png"]
    code, out, error = dalle("generate", CAPTION, *few())
    assert (code, out) == (2, "") and "models/clip: no such folder, and only CLIP can choose 3 of 5 candidates" in error
    assert "dvc repro" in error and "(--candidates 3)" in error


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("generate", " "), "caption 1 is empty"),
        (("generate", "a", "a"), "caption 'a' is given twice"),
        (("generate", "a", "--candidates", "0"), "candidates must be at least 1, got 0"),
        (("generate", "a", "--candidates", "4", "--top", "5"), "top must be 1 to 4, the number of candidates, got 5"),
        (("generate", "a", "--top", "0"), "top must be 1 to 64, the number of candidates, got 0"),
        (("generate", "a", "--temperature", "0"), "temperature must be above 0, got 0.0"),
        (("generate", "a", "--top-k", "0"), "top_k must be at least 1"),
        (("generate", "a", "--top-p", "1.5"), "top_p must be in (0, 1]"),
        (("generate", "a", "--batch-size", "0"), "batch_size must be at least 1"),
        (("generate", "a", "--out", "grid.jpg"), "--out grid.jpg: a PNG is written: name a file that ends in .png"),
        (("generate", "a", "--out", "photo.png/grid.png"), "there is no folder photo.png"),
        (("generate", "a", "--out", "nowhere/grid.png"), "--out nowhere/grid.png: there is no folder nowhere: make it first"),
        (("generate", "a", "--folder", "models"), "--folder models: is there already"),
        (("generate", "a", "--models", "nowhere"), "nowhere/tokenizer: no such folder: run `dvc repro` first"),
        (("complete", "a", "--rows", "2", "--image", "nothing.png"), "--image nothing.png: no such file"),
        (("complete", "a", "--rows", "0", "--image", "photo.png"), "rows must be 1 to 3, of a picture's 4 rows of tokens"),
        (("complete", "a", "--rows", "4", "--image", "photo.png"), "rows must be 1 to 3, of a picture's 4 rows of tokens"),
        (("complete", "", "--rows", "2", "--image", "photo.png"), "caption 1 is empty"),
    ],
)
def test_errors_are_one_line_and_leave_nothing_behind(here, dalle, arguments, message):
    before = sorted(path.name for path in here.iterdir())
    code, out, error = dalle(*arguments)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith(f"ERROR dalle {arguments[0]}: ") and message in error
    assert sorted(path.name for path in here.iterdir()) == before


def test_what_is_no_picture_is_named(here, dalle):
    (here / "text.png").write_text("no picture")
    code, _, error = dalle("complete", "a", "--rows", 2, "--image", "text.png")
    assert code == 2 and "text.png" in error and "cannot be decoded" in error


def test_a_gpu_that_is_not_there(dalle, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, error = dalle("generate", "a", "--device", "cuda")
    assert code == 2 and error == "ERROR dalle generate: --device is cuda, but torch sees no GPU here: set it to auto or cpu\n"


@pytest.mark.parametrize(("save", "changes"), [(save_dvae, {"codebook_size": 13}), (save_tokenizer, {"vocab_size": 220})])
def test_models_of_different_runs_are_refused(here, saved, dalle, save, changes):
    (here / "models").unlink()
    shutil.copytree(saved, here / "models")
    save(here / "models", **changes)
    code, out, error = dalle("generate", CAPTION, *few())
    assert (code, out) == (2, "") and "models/prior" in error and "they are of different runs" in error


@pytest.mark.parametrize("name", ["generate", "complete"])
def test_help_has_examples_that_can_be_run(dalle, here, name):
    """Every example fits into a line, and is a command line that these commands understand."""
    code, out, _ = dalle(name, "--help")
    examples = [line.strip() for line in out.splitlines() if line.strip().startswith(f"dalle {name} ")]
    assert code == 0 and len(examples) >= 2 and all(shlex.split(example)[-1] for example in examples)
    shutil.copy(here / "photo.png", here / "photo.jpg")
    for example in examples:
        words = shlex.split(example)[1:]
        shape = ["--candidates", "4"] if "--top" in words else ["--candidates", "2"]
        smaller = ["2" if words[index - 1] == "--rows" else word for index, word in enumerate(words)]
        assert dalle(*smaller, *shape)[0] == 0
