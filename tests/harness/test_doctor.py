"""Every check of `dalle doctor` in a case that passes and in one that fails."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness import checks, cli, doctor
from harness.params import build_params, parse_yaml
from harness.params_tree import Params
from harness.presets import preset_text

ROOT = Path(__file__).parents[2]
COCO = ("annotations/captions_train2014.json", "annotations/captions_val2014.json", "images/train2014/", "val2014/")
CUB = ("CUB_200_2011/images.txt", "CUB_200_2011/classes.txt", "CUB_200_2011/images/", "testclasses.txt", "text_c10/")


def params_of(preset: str, *assignments: str) -> Params:
    return build_params(parse_yaml(preset_text(preset, list(assignments), ROOT / "presets"), preset))


def place(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        path = folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()


def make_repository(folder: Path) -> None:
    for arguments in (["init"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--allow-empty", "--message", "first"]):
        subprocess.run(["git", *arguments, "--quiet"], cwd=folder, check=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder in which everything is as it should be for `mini`."""
    place(tmp_path, (".dvc/", "presets/"))
    make_repository(tmp_path)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "requirements.lock").write_text("torch==1.0\npandas==2.0\n")
    (tmp_path / "params.yaml").write_text((ROOT / "presets/mini.yaml").read_text())
    monkeypatch.setattr(doctor, "_installed_version", {"torch": "1.0+cu128", "pandas": "2.0"}.get)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def examined(capsys) -> tuple[int, dict[str, str]]:
    """The exit code of `dalle doctor`, and what it says of each thing, led by its level."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["doctor"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:8].strip() in ("ok", "note", "MISSING")]
    return stop.value.code, {line[9:24].strip(): f"{line[:8].strip()} {line[24:]}" for line in lines}


def test_a_machine_that_lacks_nothing(project, capsys):
    code, found = examined(capsys)
    assert code == 0 and {text.split()[0] for text in found.values()} == {"ok"}, found
    assert list(found) == "Python packages DVC git data weights disk cores OpenMP GPU memory".split()


def test_missing_data_is_named_and_fails(project, capsys):
    (project / "params.yaml").write_text(preset_text("cub", [], ROOT / "presets"))
    code, found = examined(capsys)
    assert code == 1 and found["data cub"].startswith("MISSING external/cub: no such folder")
    place(project / "external/cub", CUB)
    code, found = examined(capsys)
    assert found["data cub"].startswith("ok") and code == 0
    assert found["GPU"].startswith("note none found")


def test_pictures_to_complete_are_looked_for(project, capsys):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("source: miniworld", "source: external/cats"))
    code, found = examined(capsys)
    assert code == 1 and found["data panels"].startswith("MISSING external/cats: no such folder (complete.source names it)")
    place(project / "external/cats", ("cat.jpg",))
    code, found = examined(capsys)
    words = "external/cats lacks captions.jsonl, captions.csv or a .txt beside a picture"
    assert code == 1 and found["data panels"] == f"MISSING {words}"
    place(project / "external/cats", ("captions.jsonl",))
    code, found = examined(capsys)
    assert code == 0 and found["data panels"].startswith("ok")


def test_missing_packages_end_the_examination(project, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_installed_version", {"torch": "1.1"}.get)
    (project / "params.yaml").unlink()  # never read
    with pytest.raises(SystemExit) as stop:
        cli.main(["doctor"])
    printed = capsys.readouterr().out
    assert stop.value.code == 1 and "make repro" in printed
    assert "MISSING  packages       not installed: pandas==2.0" in printed
    assert "note     packages       not as in requirements.lock" in printed and "torch 1.1 (lock: 1.0)" in printed


def test_a_gpu_asked_for_and_not_there(project, capsys):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("device: auto", "device: cuda"))
    code, found = examined(capsys)
    assert code == 1 and found["device"].startswith("MISSING run.device is cuda, but torch sees no GPU")


def test_broken_parameters_are_the_usual_error(project, capsys):
    (project / "params.yaml").write_text("seed: many\n")
    with pytest.raises(SystemExit) as stop:
        cli.main(["doctor"])
    assert stop.value.code == 2 and "ERROR dalle doctor: " in capsys.readouterr().err


@pytest.mark.parametrize(("version", "level"), [((3, 10, 9), "MISSING"), ((3, 11, 0), "ok"), ((3, 14, 0), "MISSING")])
def test_python(version, level):
    finding = checks.python(ROOT / "pyproject.toml", version)
    assert finding.level == level and ".".join(map(str, version)) in finding.text


def test_a_project_without_a_lock(tmp_path):
    (finding,) = checks.packages(tmp_path / "requirements.lock", str)
    assert finding.level == "note" and "requirements.lock is not here" in finding.text


@pytest.mark.parametrize(
    ("dvc", "git", "config", "levels"),
    [
        (True, True, "", ["ok", "ok"]),
        (True, False, "[core]\n    no_scm = true\n", ["ok", "note"]),
        (True, False, "[core]\n    autostage = false\n", ["ok", "MISSING"]),
        (False, True, None, ["MISSING", "ok"]),
    ],
)
def test_git_and_dvc(tmp_path, dvc, git, config, levels):
    if dvc:
        place(tmp_path, (".dvc/",))
    if git:
        make_repository(tmp_path)
    if config is not None:
        (tmp_path / ".dvc/config").write_text(config)
    assert [finding.level for finding in checks.repository(tmp_path)] == levels


def test_a_repository_that_git_refuses_is_missing_with_its_own_words(project, capsys, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for what containers do
    code, found = examined(capsys)
    assert code == 1 and found["git"].startswith("MISSING git refuses this repository")
    assert "dubious ownership" in found["git"] and "git config --global --add safe.directory" in found["git"]


def test_a_repository_without_a_commit_is_told_what_it_lacks(tmp_path):
    place(tmp_path, (".dvc/",))
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    finding = list(checks.repository(tmp_path))[-1]
    assert finding.level == "note" and "without a commit" in finding.text
    assert list(checks.repository(tmp_path / "nowhere"))[-1].level == "MISSING"


def test_a_path_that_is_not_ascii_is_noted_with_the_way_out(tmp_path):
    assert list(checks.path(Path("/data/plain"))) == []
    (finding,) = checks.path(Path("/data/Bücher"))
    assert finding.level == "note" and "/data/Bücher" in finding.text
    assert "dvc exp run --queue and --temp fail" in finding.text and "move or clone the project" in finding.text


@pytest.mark.parametrize("missing", COCO)
def test_each_file_that_coco_needs(tmp_path, missing):
    place(tmp_path / "external/coco", COCO)
    (finding,) = checks.data(params_of("coco"), tmp_path)
    assert finding.level == "ok"
    path = tmp_path / "external/coco" / missing
    path.rmdir() if missing.endswith("/") else path.unlink()
    (finding,) = checks.data(params_of("coco"), tmp_path)
    assert finding.level == "MISSING" and missing.rstrip("/").removeprefix("images/") in finding.text


def test_shards_are_looked_for(tmp_path):
    place(tmp_path / "pairs", ("00000_stats.json",))
    params = params_of("mini", "prepare_data.web=pairs")
    (finding,) = checks.data(params, tmp_path)
    assert finding.level == "MISSING" and finding.text.startswith("pairs lacks *.tar or captions.jsonl")
    place(tmp_path / "pairs", ("00000.tar",))
    (finding,) = checks.data(params, tmp_path)
    assert finding.level == "ok" and "pairs (WebDataset shards) looks whole" in finding.text


@pytest.mark.parametrize(
    ("assignment", "missing", "there"),
    [
        ("coco_year=2017", "annotations/captions_train2017.json, train2017 or images/train2017", ()),
        ("cub_split=train_test_split", "train_test_split.txt or CUB_200_2011/train_test_split.txt", ("train_test_split.txt",)),
        ("cub_split=filenames", "train/filenames.pickle or", ("train/filenames.pickle", "test/filenames.pickle")),
        ("cub_crop=box", "bounding_boxes.txt or CUB_200_2011/bounding_boxes.txt", ("CUB_200_2011/bounding_boxes.txt",)),
    ],
)
def test_what_is_asked_of_a_corpus_is_looked_for(tmp_path, assignment, missing, there):
    corpus = assignment.partition("_")[0]
    place(tmp_path / "external" / corpus, {"coco": COCO, "cub": CUB}[corpus])
    params = params_of(corpus, f"prepare_data.{assignment}")
    (finding,) = checks.data(params, tmp_path)
    assert finding.level == "MISSING" and missing in finding.text
    if there:
        place(tmp_path / "external" / corpus, there)
        (finding,) = checks.data(params, tmp_path)
        assert finding.level == "ok"


@pytest.mark.parametrize("corpus", ["web", "coco", "cub"])
def test_a_captioned_folder_stands_for_any_corpus(tmp_path, corpus):
    place(tmp_path / "photos", ("captions.csv",))
    (finding,) = checks.data(params_of("mini", f"prepare_data.{corpus}=photos"), tmp_path)
    assert finding.level == "ok" and "photos (captioned folder)" in finding.text
    place(tmp_path / "photos", ("00000.tar",))
    (finding,) = checks.data(params_of("mini", f"prepare_data.{corpus}=photos"), tmp_path)
    assert finding.level == ("MISSING" if corpus == "web" else "ok")


def test_weights(tmp_path):
    assert checks.weights("lite0", lambda name: doctor.weights_file(name, None)).level == "ok"
    finding = checks.weights("lite0", lambda features: tmp_path / "lite0.pth")
    assert finding.level == "MISSING" and "lite0.pth" in finding.text


def test_the_dvae_to_start_from(tmp_path):
    assert list(checks.start("scratch", tmp_path)) == []
    (tmp_path / "dvae").mkdir()
    (tmp_path / "dvae/config.json").touch()
    (finding,) = checks.start("dvae", tmp_path)
    assert finding.level == "MISSING" and "dvae (train_dvae.init) lacks model.safetensors" in finding.text
    (tmp_path / "dvae/model.safetensors").touch()
    assert [finding.level for finding in checks.start("dvae", tmp_path)] == ["ok"]


@pytest.mark.parametrize(("free", "pairs", "level"), [(5e9, 10, "ok"), (5e9, None, "note"), (1e9, 10, "MISSING")])
def test_disk(free, pairs, level):
    finding = checks.disk({"sample@coco": 2_000_000_000, "models": 1_000_000}, int(free), pairs)
    assert finding.level == level and "estimated need 2.0 GB" in finding.text and "sample@coco 2.0 GB" in finding.text


@pytest.mark.parametrize(("name", "number", "level"), [("threads", 2, "ok"), ("threads", 3, "note"), ("data_workers", 3, "note")])
def test_cores(name, number, level):
    assert checks.cores(dataclasses.replace(params_of("mini").run, **{name: number}), 2).level == level


@pytest.mark.parametrize(("variables", "level"), [({"OMP_WAIT_POLICY": "passive"}, "ok"), ({}, "note")])
def test_waiting(variables, level):
    assert checks.waiting(variables).level == level


@pytest.mark.parametrize(
    ("count", "device", "level"), [(3_000_000, "cpu", "ok"), (40_000_000, "cpu", "note"), (40_000_000, "cuda", "ok")]
)
def test_speed(count, device, level):
    assert checks.speed({"train_prior": count, "train_dvae": 1}, device).level == level


@pytest.mark.parametrize(("memory", "level"), [(80e9, "ok"), (30e9, "note"), (16e9, "MISSING")])
def test_memory(memory, level):
    finding = checks.memory({"train_dvae": 1, "train_prior": 20_000_000_000}, "cuda", int(memory))
    assert finding.level == level and "train_prior needs 20.0 GB" in finding.text


def test_it_starts_without_torch_and_never_loads_mlflow():
    """Where packages are missing it must still run; and a tracker's imports would double its time."""
    program = """if True:
        import sys
        import harness.doctor, harness.cli
        assert "torch" not in sys.modules
        from pathlib import Path
        from harness.params import load_params
        list(harness.doctor.examination(load_params(Path("params.yaml")), Path.cwd()))
        assert "torch" in sys.modules and "mlflow" not in sys.modules and "open_clip" not in sys.modules
    """
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": ""}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)
