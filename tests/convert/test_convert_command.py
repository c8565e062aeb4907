import hashlib
import shlex
from pathlib import Path

import pytest

from dalle.dvae.model import load_dvae
from harness import cli
from harness.params import build_params, parse_yaml
from harness.presets import preset_text
from released_standins import networks, save

PRESETS = Path(__file__).parents[2] / "presets"


def command(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main(["convert-dvae", *map(str, arguments)])
    return (stop.value.code, *capsys.readouterr())


@pytest.fixture
def files(tmp_path):
    encoder, decoder = networks()
    return save(encoder, tmp_path / "encoder.pkl"), save(decoder, tmp_path / "decoder.pkl")


def test_the_command_says_what_it_found_and_what_to_set(tmp_path, files, capsys):
    folder = tmp_path / "external" / "dvae"
    code, out, error = command(capsys, *files, "--out", folder, "--image-size", 32)
    assert (code, error) == (0, "")
    dvae = load_dvae(folder)
    numbers = {name: f"{sum(p.numel() for p in getattr(dvae, name).parameters()):,}" for name in ("encoder", "decoder")}
    first, second, written, words, use = out.splitlines()
    assert [first, second] == [f"{name}: {number} parameters" for name, number in numbers.items()]
    assert written == f"written: {folder}/config.json, {folder}/model.safetensors" and "in the place of stage 1" in words
    # the line can be run: every key is one of params.yaml, and the values fit each other
    dalle, preset, name, *assignments = shlex.split(use)
    params = build_params(parse_yaml(preset_text(name, assignments, PRESETS), "params.yaml"))
    config = params.train_dvae
    assert (dalle, preset, params.image_size, config.init, config.optim.updates) == ("dalle", "preset", 32, str(folder), 0)
    assert config.init_sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert config.model(32) == dvae.config


def test_a_link_in_the_way_is_not_followed(tmp_path, files, capsys):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".partial-dvae").symlink_to(tmp_path / "elsewhere")
    code, _, _ = command(capsys, *files, "--out", tmp_path / "dvae")
    assert code == 0 and load_dvae(tmp_path / "dvae") and not list((tmp_path / "elsewhere").iterdir())
    assert not (tmp_path / "dvae").is_symlink() and [path.name for path in tmp_path.glob(".partial*")] == [".partial-dvae"]


def test_256_pixels_are_the_default_and_a_second_time_is_refused(tmp_path, files, capsys):
    folder = tmp_path / "dvae"
    code, out, _ = command(capsys, *files, "--out", folder)
    assert code == 0 and load_dvae(folder).config.image_size == 256
    code, out, error = command(capsys, *files, "--out", folder)
    assert (code, out) == (2, "") and error.startswith(f"ERROR dalle convert-dvae: {folder}: is there already")


def test_what_is_wrong_is_said_in_a_line(tmp_path, files, capsys):
    files[1].write_bytes(b"<html>404</html>")
    code, out, error = command(capsys, *files, "--out", tmp_path / "dvae")
    assert (code, out) == (2, "") and error.count("\n") == 1 and "decoder.pkl: not the zip archive" in error
    code, out, error = command(capsys, tmp_path / "nothing.pkl", files[1], "--out", tmp_path / "dvae")
    assert code == 2 and "No such file" in error


def test_the_help_says_where_the_files_are(capsys):
    code, out, _ = command(capsys, "--help")
    assert code == 0
    for name in ("encoder", "decoder"):
        assert f"https://cdn.openai.com/dall-e/{name}.pkl" in out
