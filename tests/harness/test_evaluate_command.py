"""`dalle evaluate` in a folder with nothing but params.yaml: no DVC, no pipeline, no models."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dalle.data.manifest import manifest_from_rows, read_manifest, write_manifest
from dalle.evaluation.table import read_rows, write_rows
from harness import cli, evaluate_command
from harness.presets import preset_text

ROOT = Path(__file__).parents[2]
SMALL = ["evaluate.blur_radii=[0,8]", "evaluate.kid_subset_size=6", "evaluate.fid_infinity=true", "image_size=16", "complete.rows=2"]


class Regions:
    name = "lite0"
    num_seen = 0

    def __call__(self, images):
        Regions.num_seen += len(images)
        n, h, w, _ = images.shape
        features = images.reshape(n, 2, h // 2, 2, w // 2, 3).std(axis=(2, 4)).reshape(n, -1).astype(np.float32)
        return features, features[:, :5] / 10


def draw(folder, number, seed, shape=(16, 16, 3)):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(number):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(preset_text("smoke", SMALL, ROOT / "presets"))
    draw(tmp_path / "photos", 20, seed=0)
    draw(tmp_path / "gan", 12, seed=1)
    captions = [(f"{index:02}", "a cyan square on a paper background") for index in range(12)]
    pd.DataFrame(captions, columns=["caption_id", "caption"]).to_csv(tmp_path / "captions.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate_command, "extractor_of", lambda protocol, root, device: Regions())
    monkeypatch.setattr(Regions, "num_seen", 0)
    return tmp_path


def call(*arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(["evaluate", *arguments])
    return stop.value.code


def prepare_domain(project, number=20):
    """`coco` as the pipeline prepares it, from the photos."""
    files = sorted((project / "photos").glob("*.png"))[:number]
    rows = [
        {
            "pair_id": str(index), "image_id": str(index), "caption": "c", "file": str(file), "offset": 0, "width": 16,
            "height": 16, "num_bytes": file.stat().st_size, "crc32": 0, "split": "val",
        }
        for index, file in enumerate(files)
    ]  # fmt: skip
    (project / "data/prepared").mkdir(parents=True)
    write_manifest(manifest_from_rows(rows), project / "data/prepared/coco.parquet")


def declare_size(side):
    """Let the manifest say that the pictures are larger than they are."""
    path = Path("data/prepared/coco.parquet")
    write_manifest(read_manifest(path).assign(width=side, height=side), path)


def test_a_folder_against_a_folder(project, capsys):
    assert call("gan", "--against", "photos") == 0
    printed = capsys.readouterr().out
    table = read_rows(Path("evaluation/gan/evaluate.csv"))
    assert set(table["metric"]) == {"fid", "fid_infinity", "inception_score", "kid", "precision", "recall"}
    assert set(table["num_samples"]) == {12} and set(table["domain"]) == {"photos"} and set(table["model"]) == {"gan"}
    assert sorted(path.name for path in Path("evaluation/gan").iterdir()) == ["README.md", "blur_curves.png", "evaluate.csv"]
    page = Path("evaluation/gan/README.md").read_text()
    value = table[(table["metric"] == "fid") & (table["blur_radius"] == 0)]["value"].iloc[0]
    assert f"{value:.1f} (" in page and f"{value:.1f} (" in printed
    for words in ("12 images of gan against 20 of photos", "EfficientNet-Lite0", "PIL radius", "alone: this pipeline has not"):
        assert words in page
    assert "sha256 of the samples" in printed


def test_captions_give_caption_accuracy_where_the_domain_is_the_miniature_world(project):
    prepare_domain(project)
    Path("data/overlap").mkdir()
    Path("data/overlap/coco.json").write_text(json.dumps({"image_ids": ["3", "7"]}))
    assert call("gan", "--against", "coco", "--captions", "captions.csv", "--name", "df_gan", "--out", "there") == 0
    table = read_rows(Path("there/evaluate.csv"))
    assert {"caption_accuracy", "fid"} <= set(table["metric"])
    assert set(table[table["metric"] == "fid"]["reference"]) == {"all", "no_overlap"}


def test_the_pipelines_own_numbers_stand_beside_them_only_where_they_compare(project, capsys):
    prepare_domain(project)
    assert call("gan", "--against", "coco") == 0
    ours = read_rows(Path("evaluation/gan/evaluate.csv")).assign(model="dalle")
    write_rows(ours.to_dict("records"), Path("reports/metrics/evaluate-coco.csv"))
    capsys.readouterr()
    assert call("gan", "--against", "coco") == 0
    assert "beside it what this pipeline measured" in capsys.readouterr().out
    assert "DALL-E" in Path("evaluation/gan/README.md").read_text()
    write_rows(ours.assign(num_samples=200).to_dict("records"), Path("reports/metrics/evaluate-coco.csv"))
    assert call("gan", "--against", "coco") == 0
    assert "alone: num_samples is 12 here and 200 in reports/metrics" in capsys.readouterr().out


def test_a_killed_call_goes_on_with_its_radius(project, monkeypatch):
    whole = Regions.__call__

    def killed(self, images):
        if Regions.num_seen > 33:  # the probe, 20 photos and 12 samples of the first radius
            raise KeyboardInterrupt
        return whole(self, images)

    monkeypatch.setattr(Regions, "__call__", killed)
    assert call("gan", "--against", "photos") == 130
    monkeypatch.setattr(Regions, "__call__", whole)
    Regions.num_seen = 0
    assert call("gan", "--against", "photos") == 0
    assert Regions.num_seen == 1 + 20 + 12


def test_reranked_folders_bring_their_whole_sweep(project):
    samples = [("a", 0), ("a", 2), *((f"{index}", 1) for index in range(10))]
    rows = [(*key, "c", f"{index:02}.png") for index, key in enumerate(samples)]
    pd.DataFrame(rows, columns=["caption_id", "candidate", "caption", "file"]).to_csv("gan/samples.csv", index=False)
    ids = dict.fromkeys(key for key, _ in samples)
    ranking = [(key, n, (0 if n == 1 else 2) if key == "a" else 1, 0.5) for key in ids for n in (1, 4)]
    pd.DataFrame(ranking, columns=["caption_id", "candidates", "candidate", "score"]).to_csv("gan/ranking.csv", index=False)
    assert call("gan", "--against", "photos") == 0
    assert set(read_rows(Path("evaluation/gan/evaluate.csv"))["candidates"]) == {1, 4}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gan", "--against", "nothing"), "--against nothing: neither a domain (coco, cub) nor a folder"),
        (("gan", "--against", "coco"), "data/prepared/coco.parquet: no such manifest"),
        (("nothing", "--against", "photos"), "nothing: no such folder"),
        (("gan", "--against", "photos", "--captions", "nothing.csv"), "--captions nothing.csv: cannot be opened"),
        (("gan", "--against", "photos", "--captions", "fewer.csv"), "gan: 2 images have no caption and 0 captions no image"),
        (("gan", "--against", "photos", "--captions", "wrong.csv"), "column caption is missing (it has: caption_id)"),
        (("gan", "--against", "photos", "--out", "photos"), "--out photos: holds something else"),
        (("few", "--against", "photos"), "kid_subset_size must be at most 3, got 6; there are 3 samples and 20 reference"),
        (("one", "--against", "photos"), "one: holds 1 PNG, JPEG or WebP images; an evaluation needs at least 2"),
        (("grey", "--against", "photos"), "00.png: is L with 8 bits a channel, samples are RGB with 8"),
        (("deep", "--against", "photos"), "00.png: is I;16 with 16 bits a channel, samples are RGB with 8"),
        (("mixed", "--against", "photos"), "images are of several sizes: mixed/00.png is 16 x 16 pixels, mixed/12.png is 8 x 8"),
        (("broken", "--against", "photos"), "broken/07.png: cannot be read as an image"),
        (("gan", "--against", "broken"), "broken/07.png (bytes 0 to 99): cannot be decoded"),
        (("listed", "--against", "photos"), "listed/samples.csv does not match its folder: 1 listed and not there: x.png"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_any_features(project, capsys, arguments, message):
    draw(project / "few", 3, seed=2)
    draw(project / "one", 1, seed=2)
    draw(project / "grey", 12, seed=2, shape=(16, 16))
    for name in ("deep", "mixed", "broken", "listed"):
        draw(project / name, 12, seed=2)
    Image.fromarray(np.zeros((16, 16), np.uint16)).save("deep/00.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("mixed/12.png")
    Path("broken/07.png").write_bytes(Path("broken/07.png").read_bytes()[:99])
    files = [f"{index:02}.png" for index in range(11)] + ["x.png"]
    pd.DataFrame({"caption_id": range(12), "file": files}).to_csv("listed/samples.csv", index=False)
    captions = pd.read_csv("captions.csv", dtype=str)
    captions.head(10).to_csv("fewer.csv", index=False)
    captions[["caption_id"]].to_csv("wrong.csv", index=False)
    assert call(*arguments) == 2
    assert message in capsys.readouterr().err
    assert Regions.num_seen == 0 and not Path("evaluation").exists()


def test_samples_named_by_their_image(project, capsys):
    """As AttnGAN leaves them: FID and its like are measured, nothing is said of captions."""
    prepare_domain(project)
    for index in range(12):
        folder = project / "gan/valid/single"
        folder.mkdir(parents=True, exist_ok=True)
        (project / f"gan/{index:02}.png").rename(folder / f"{index:02}_s-1.png")
    assert call("gan", "--against", "coco", "--match", "image_id") == 0
    table = read_rows(Path("evaluation/gan/evaluate.csv"))
    assert set(table["metric"]) == {"fid", "fid_infinity", "inception_score", "kid", "precision", "recall"}
    (folder / "00_s-1.png").rename(folder / "99_s-1.png")
    assert call("gan", "--against", "coco", "--match", "image_id") == 2
    assert "1 of no evaluation image: gan/valid/single/99_s-1.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("coco", "--match", "image_id", "--captions", "captions.csv"), "nobody knows which of an image's captions a sample was drawn"),
        (("coco", "--match", "none", "--captions", "captions.csv"), "with --match none nobody knows which of them a sample was drawn"),
        (("photos", "--match", "image_id"), "names tell images of a domain: --against one of coco, cub, got photos"),
        (("photos", "--match", "image"), "--match image: is none of caption_id, image_id, none"),
        (("photos", "--match", "caption_id"), "--match caption_id: gan has no samples.csv with captions; add --captions CSV"),
    ],
)
def test_what_names_cannot_tell_is_refused_with_the_reason(project, capsys, arguments, message):
    prepare_domain(project)
    assert call("gan", "--against", *arguments) == 2
    assert message in capsys.readouterr().err
    assert Regions.num_seen == 0


def test_larger_samples_stand_alone_or_are_reduced_and_this_is_said(project, capsys):
    prepare_domain(project)
    assert call("gan", "--against", "coco", "--name", "small") == 0
    ours = read_rows(Path("evaluation/small/evaluate.csv")).assign(model="dalle")
    write_rows(ours.to_dict("records"), Path("reports/metrics/evaluate-coco.csv"))
    draw(project / "large", 12, seed=1, shape=(32, 32, 3))
    capsys.readouterr()
    declare_size(32)
    assert call("large", "--against", "coco") == 0
    assert "alone: these samples have 32 pixels a side, the pipeline's 16; --resize reduces them to it" in capsys.readouterr().out
    assert call("large", "--against", "coco", "--resize", "--out", "reduced") == 0
    page = Path("reduced/README.md").read_text()
    assert "samples reduced from 32 to 16 pixels a side; beside it what this pipeline measured" in page and "DALL-E" in page


def test_features_that_nobody_knows_are_named_before_anything_is_read(project, capsys):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("\n  features: lite0", "\n  features: vgg"))
    assert call("gan", "--against", "photos") == 2
    assert "features: 'vgg' is not known; known: lite0, inception, dmgan, clip" in capsys.readouterr().err
    assert Regions.num_seen == 0


def test_the_samples_may_have_another_size_than_the_pipelines(project):
    shutil.rmtree("photos")
    draw(project / "photos", 20, seed=0, shape=(40, 40, 3))
    shutil.rmtree("gan")
    draw(project / "gan", 12, seed=1, shape=(32, 32, 3))
    assert call("gan", "--against", "photos") == 0  # the photos are brought to it


def test_a_reference_that_is_smaller_than_the_samples_is_refused(project, capsys):
    prepare_domain(project)
    draw(project / "large", 12, seed=1, shape=(32, 32, 3))
    for against in ("photos", "coco"):
        assert call("large", "--against", against) == 2
        words = "20 of 20 reference images are smaller than the samples' 32 pixels, and enlarging them would change every score"
        assert f"--against {against}: {words}" in capsys.readouterr().err
    assert Regions.num_seen == 0 and not Path("evaluation").exists()


def test_a_few_smaller_reference_images_are_said(project, capsys):
    Image.new("RGB", (30, 12)).save("photos/00.png")
    assert call("gan", "--against", "photos") == 0
    words = "1 of 20 reference images are smaller than the samples' 16 pixels, and were enlarged to them"
    assert words in capsys.readouterr().out and words in Path("evaluation/gan/README.md").read_text()


def test_one_radius_gives_a_table_and_a_figure(project):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("blur_radii: [0, 8]", "blur_radii: [0]"))
    assert call("gan", "--against", "photos") == 0
    assert set(read_rows(Path("evaluation/gan/evaluate.csv"))["blur_radius"]) == {0}
    assert Path("evaluation/gan/blur_curves.png").is_file()


@pytest.mark.parametrize("out", ["gan/scores", "photos/scores", "gan/../photos/x/y"])
def test_results_within_the_pictures_are_refused(project, capsys, out):
    assert call("gan", "--against", "photos", "--out", out) == 2
    assert f"--out {out}: lies in " in capsys.readouterr().err
    assert Regions.num_seen == 0 and not Path(out).exists()


def test_a_broken_table_of_the_pipeline_is_refused_before_the_work(project, capsys):
    prepare_domain(project)
    Path("reports/metrics").mkdir(parents=True)
    Path("reports/metrics/evaluate-coco.csv").write_text("domain,model\ncoco,dalle\n")
    assert call("gan", "--against", "coco") == 2
    assert "reports/metrics/evaluate-coco.csv: missing columns" in capsys.readouterr().err
    assert Regions.num_seen == 0


def test_what_was_computed_is_kept_and_printed_when_the_figure_fails(project, capsys, monkeypatch):
    def broken(*_, **__):
        raise ValueError("no such font")

    monkeypatch.setattr(evaluate_command, "blur_curves", broken)
    assert call("gan", "--against", "photos") == 2
    printed = capsys.readouterr()
    table = read_rows(Path("evaluation/gan/evaluate.csv"))
    value = table[(table["metric"] == "fid") & (table["blur_radius"] == 0)]["value"].iloc[0]
    assert f"{value:.1f} (" in printed.out and "no such font" in printed.err


def test_a_terminal_without_arrows_ends_with_0(project):
    """The metrics' arrows, and a name in letters that the terminal does not have."""
    program = f"""if True:
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_evaluate_command as here
        here.evaluate_command.extractor_of = lambda protocol, root, device: here.Regions()
        here.cli.main(["evaluate", "gan", "--against", "photos", "--name", "modèle"])
    """
    paths = os.pathsep.join([str(ROOT / "src"), *sys.path])
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "FID \\u2193" in done.stdout and "written: evaluation/mod\\xe8le" in done.stdout


def test_files_are_counted_by_what_became_of_them(project, capsys):
    """Half of the samples lie behind a link; beside them lie what is no picture, a link back and a hidden folder."""
    (project / "disk2").mkdir()
    for name in ("06", "07", "08", "09", "10", "11"):
        Path(f"gan/{name}.png").rename(f"disk2/{name}.PNG")
    Path("gan/more").symlink_to("../disk2")
    Path("gan/back").symlink_to("../gan")
    Path("gan/notes.txt").write_text("of whom they are")
    Path("gan/.cache").mkdir()
    Path("gan/.cache/00.png").write_bytes(Path("gan/00.png").read_bytes())
    assert call("gan", "--against", "photos") == 0
    printed = capsys.readouterr().out
    counts = "gan: 15 entries, 12 used; left: a link to a folder that is read already, or that it lies in (1); hidden (1); "
    assert counts + "no picture: .txt (1)" in printed and "photos: 20 entries, 20 used\n" in printed
    assert set(read_rows(Path("evaluation/gan/evaluate.csv"))["num_samples"]) == {12}


def test_one_name_that_is_not_utf8_among_many_is_left_and_named(project, capsys):
    with open(b"photos/caf\xe9.png", "wb") as file:
        file.write(Path("photos/00.png").read_bytes())
    assert call("gan", "--against", "photos") == 2
    error = capsys.readouterr().err
    assert "photos: 1 entries cannot be used beside 20 pictures, more than 1%: " in error
    assert "photos/caf\\xe9.png: its name is not UTF-8" in error and Regions.num_seen == 0
    rng = np.random.default_rng(5)
    for index in range(100, 180):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(f"photos/{index}.png")
    assert call("gan", "--against", "photos") == 0
    printed = capsys.readouterr().out
    assert "photos: 101 entries, 100 used; left: its name is not UTF-8, so it must be renamed (1)" in printed
    assert "photos/caf\\xe9.png: its name is not UTF-8" in printed


def test_captions_as_a_spreadsheet_saves_them(project):
    prepare_domain(project)
    text = Path("captions.csv").read_text().replace(",", ";").replace("\n", "\r\n")
    Path("captions.csv").write_bytes(text.encode("utf-16"))
    assert call("gan", "--against", "coco", "--captions", "captions.csv") == 0
    assert "caption_accuracy" in set(read_rows(Path("evaluation/gan/evaluate.csv"))["metric"])
