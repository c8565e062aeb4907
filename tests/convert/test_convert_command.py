import hashlib

import pytest

from dalle.dvae.model import load_dvae
from harness import cli
from released_standins import networks, save


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
    assert out.splitlines() == [
        *(f"{name}: {number} parameters" for name, number in numbers.items()),
        f"written: {folder}/config.json, {folder}/model.safetensors",
        "what params.yaml must say for it to take the place of stage 1:",
        "  image_size: 32",
        "  train_dvae.codebook_size: 12",
        "  train_dvae.num_groups: 3",
        "  train_dvae.blocks_per_group: 2",
        "  train_dvae.hidden_width: 8",
        "  train_dvae.codebook_width: 6",
        f"  train_dvae.post_gain: {1 / 36}",
        f"  train_dvae.init: {folder}",
        f"  train_dvae.init_sha256: {hashlib.sha256((folder / 'model.safetensors').read_bytes()).hexdigest()}",
        "  train_dvae.optim.updates: 0",
    ]


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
