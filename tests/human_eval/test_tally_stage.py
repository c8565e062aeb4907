"""The stage tally_votes: people's votes before simulated ones, simulated ones called so in every file, none as none."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from voted_sheets import as_csv, small_key, votes_of

from dalle.config import ConfigError
from dalle.data.manifest import manifest_from_rows, write_manifest
from dalle.data.sources.rows import describe_image
from dalle.human_eval.simulated import Seen
from dalle.miniworld.reader_accuracy import fresh_render
from harness.outputs import metrics_text, written_whole
from harness.params import build_params, parse_yaml
from harness.presets import preset_text
from stages import tally_votes

PRESETS = Path(__file__).parents[2] / "presets"
KEY = small_key(num_batches=2)


def params_of(preset, *assignments):
    return build_params(parse_yaml(preset_text(preset, list(assignments), PRESETS), preset))


class FakeStage:
    """What the stage asks of the harness."""

    def __init__(self, root, *assignments):
        self.params, self.root, self.options = params_of("mini", *assignments), root, SimpleNamespace(device="cpu")

    def output(self, path):
        return written_whole(self.root / path)

    def finish(self, metrics):
        self.metrics = json.loads(metrics_text(metrics))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports/human_eval/votes").mkdir(parents=True)
    (tmp_path / "human_eval").mkdir()
    KEY.to_csv(tmp_path / "human_eval/key.csv", index=False)
    return tmp_path


def seen(stage, key):
    return {(name, caption_id): Seen(0.0, True) for name in ("dalle", "dfgan", "real") for caption_id in set(key["caption_id"])}


def run(folder, *assignments):
    stage = FakeStage(folder, *assignments)
    tally_votes.main(stage)
    files = {name: folder / f"reports/metrics/human_eval_{name}.csv" for name in ("captions", "dropped")}
    tables = {name: pd.read_csv(file, dtype=str) for name, file in files.items()}
    return stage.metrics, tables


def test_votes_of_people_are_taken_before_simulated_ones(folder):
    text = as_csv(votes_of(KEY, lambda sheet: sheet), ";") + "s01r1;eve;=1+1;match;left;1;2026-01-01T00:00:00Z\r\n"
    (folder / "reports/human_eval/votes/a.csv").write_text(text, encoding="utf-8-sig", newline="")
    metrics, tables = run(folder)
    assert metrics["votes/simulated"] == 0 and metrics["votes/counted"] == 60 and metrics["dropped/unknown_pair"] == 1
    assert set(tables["captions"]["raters"]) == set(tables["dropped"]["raters"]) == {"people"}
    assert tables["dropped"].iloc[0].tolist()[:6] == ["a.csv", "122", "eve", "'=1+1", "match", "unknown_pair"]
    assert list(tables["captions"]) == ["caption_id", "question", "votes", "ours", "rival", "neither", "majority", "raters"]
    assert not (folder / "human_eval_votes/simulated").exists()
    votes = pd.read_csv(folder / "human_eval_votes/votes.csv")
    assert len(votes) == metrics["votes/read"] and (votes["outcome"].value_counts()["counted"]) == 60


def test_where_nobody_has_voted_simulated_raters_do_and_are_called_so(folder, monkeypatch):
    monkeypatch.setattr(tally_votes, "seen", seen)
    (folder / "reports/human_eval/votes/empty.csv").write_text(as_csv([]))
    metrics, tables = run(folder)
    assert metrics["votes/simulated"] == 1 and metrics["votes/counted"] == 60 and metrics["votes/dropped"] == 12
    assert set(tables["captions"]["raters"]) == set(tables["dropped"]["raters"]) == {"SIMULATED"}
    files = {file: file.read_bytes() for file in folder.rglob("*.csv")}
    assert any("human_eval_votes/simulated/votes-s01r1-" in file.as_posix() for file in files)
    run(folder)
    assert {file: file.read_bytes() for file in folder.rglob("*.csv")} == files


@pytest.mark.parametrize("assignment", ["tally_votes.simulated=false", "prepare_data.coco=external/coco"])
def test_without_votes_nobody_is_simulated_where_it_is_switched_off_or_pictures_are_real(folder, capsys, assignment):
    metrics, tables = run(folder, assignment)
    assert metrics["votes/read"] == metrics["votes/simulated"] == 0 and "realism/majority_ours" not in metrics
    assert (tables["captions"]["majority"] == "too_few").all() and tables["dropped"].empty
    assert "WARNING" not in capsys.readouterr().err


def test_votes_for_sheets_of_another_run_are_all_listed_and_warned_of(folder, capsys):
    other = [[*row[:2], f"other{row[2]}", *row[3:]] for row in votes_of(KEY, lambda sheet: sheet)]
    (folder / "reports/human_eval/votes/a.csv").write_text(as_csv(other), newline="")
    metrics, tables = run(folder)
    assert metrics["votes/counted"] == 0 and metrics["dropped/unknown_pair"] == len(tables["dropped"]) == 120
    assert "made with another seed or other pictures" in tables["dropped"]["detail"].iloc[0]
    assert "WARNING: none of 120 votes counts" in capsys.readouterr().err


def test_a_key_for_other_models_is_refused(folder):
    KEY.replace({"dfgan": "attngan"}).to_csv(folder / "human_eval/key.csv", index=False)
    with pytest.raises(ValueError, match="key.csv compares"):
        run(folder)


def test_every_picture_is_seen_under_its_own_caption(folder, monkeypatch):
    """Captions come in another order than images and models' files; the reader knows what each picture shows."""
    num, rows = 6, []
    renders = [fresh_render(index, 3, 48) for index in range(num)]
    (folder / "reranked/coco/images").mkdir(parents=True)
    (folder / "rivals/coco/dfgan").mkdir(parents=True)
    (folder / "samples/coco").mkdir(parents=True)
    captions = [f"a {scene.objects[0].colour} {scene.objects[0].shape}" for scene, _ in renders]
    wrong = [render for render in renders[1:] + renders[:1]]
    for index, (_, image) in enumerate(renders):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        (folder / f"{index}.png").write_bytes(buffer.getvalue())
        described = describe_image(buffer.getvalue(), f"{index}.png")
        rows.append({"pair_id": f"1{index}", "image_id": f"i{index}", "caption": captions[index], "split": "val", **described})
        Image.fromarray(image).save(folder / f"reranked/coco/images/{index}.png")
        Image.fromarray(wrong[index][1]).save(folder / f"rivals/coco/dfgan/1{index}.png")
    write_manifest(manifest_from_rows(rows), folder / "data/prepared/coco.parquet")
    order = [3, 0, 5, 1, 4, 2]
    listed = pd.DataFrame({"caption_id": [f"1{index}" for index in order], "image_id": [f"i{index}" for index in order],
                           "caption": [captions[index] for index in order]})  # fmt: skip
    listed.to_csv("samples/coco/captions.csv", index=False)
    listed.assign(candidate=0, file=[f"images/{index}.png" for index in order]).to_csv("reranked/coco/samples.csv", index=False)
    listed.assign(candidates=1, candidate=0, score=0.5).to_csv("reranked/coco/ranking.csv", index=False)
    monkeypatch.setattr(tally_votes, "open_extractor", lambda *_, **__: lambda images: (images.mean((1, 2)), None))
    key = KEY[(KEY["kind"] == "pair") & KEY["caption_id"].isin(["10", "11", "12"])]
    # attention checks are of captions that no model drew
    check = {"kind": "attention_noise", "caption_id": "15", "left": "real", "right": "noise"}
    found = tally_votes.seen(FakeStage(folder), pd.concat([key, key.head(1).assign(**check)]))
    one = [len(scene.objects) == 1 for scene, _ in renders]
    assert set(found) == {("real", "15"), *((name, f"1{index}") for name in ("dalle", "dfgan") for index in range(3))}
    assert found["real", "15"].shows == one[5]
    for index in range(3):
        assert found["dalle", f"1{index}"].shows == one[index]
        assert found["dalle", f"1{index}"].realism != found["dfgan", f"1{index}"].realism
    assert any(one[:3]) and np.isfinite([picture.realism for picture in found.values()]).all()


@pytest.mark.parametrize(
    ("preset", "assignments", "message"),
    [
        ("mini", ("tally_votes.rules.min_votes=6",), "tally_votes.rules.min_votes must be at most human_eval.raters, 5"),
        ("mini", ("tally_votes.rules.max_fast=2.0",), "tally_votes.rules: max_fast must be a share"),
        ("mini", ("tally_votes.bootstrap=0",), "tally_votes: bootstrap must be at least 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(preset, assignments, message):
    with pytest.raises(ConfigError, match=message):
        params_of(preset, *assignments)
