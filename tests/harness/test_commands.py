"""The command line itself: what it says of itself, what a slip costs, and that it starts at once."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli

ROOT = Path(__file__).parents[2]
COMMANDS = ["generate", "complete", "preset", "doctor", "runs", "trace", "upload", "compare", "evaluate", "ablate", "convert-dvae"]


def dalle(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments))
    return (stop.value.code, *capsys.readouterr())


def in_a_process(program: str, **variables) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **variables}
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command(capsys, flag):
    code, out, _ = dalle(capsys, flag)
    assert code == 0 and "Usage: dalle" in out
    assert [name for name in COMMANDS if not re.search(rf"^│ {name} ", out, re.MULTILINE)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(capsys, name):
    code, out, _ = dalle(capsys, name, "--help")
    assert code == 0 and f"Usage: dalle {name}" in out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("nothing",), "No such command 'nothing'"),
        (("trace",), "Missing argument 'PATH'"),
        (("compare", "--parm", "x"), "No such option"),
        (("convert-dvae", "a", "b", "--out", "c", "--image-size", "big"), "Invalid value for '--image-size'"),
    ],
)
def test_a_slip_is_named_and_points_at_help(capsys, arguments, words):
    code, out, error = dalle(capsys, *arguments)
    assert (code, out) == (2, "") and words in error and "--help" in error


def test_without_a_command_it_explains_itself(capsys):
    code, *texts = dalle(capsys)
    assert code == 2 and "Usage: dalle" in "".join(texts)


@pytest.mark.parametrize("arguments", [["--help"], ["preset"], ["generate", "--help"]])
def test_what_only_prints_loads_neither_torch_nor_mlflow(arguments):
    program = f"""if True:
        import sys
        from harness import cli
        try:
            cli.main({arguments})
        except SystemExit as stop:
            assert stop.code == 0, stop
        assert not [name for name in ("torch", "mlflow", "dvc", "pandas", "matplotlib") if name in sys.modules]
    """
    finished = in_a_process(program)
    assert finished.returncode == 0, finished.stderr


def test_an_environment_without_typer_says_how_to_mend_it():
    finished = in_a_process("import sys; sys.modules['typer'] = None; from harness import cli; cli.main(['doctor'])")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr == "ERROR dalle: typer is not installed: make repro makes the environment anew\n"


def test_a_reader_that_goes_away_ends_it_quietly():
    command = "python -m harness.cli --help | head -1; exit ${PIPESTATUS[0]}"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PATH": path}
    finished = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert finished.stderr == ""


def test_stopping_a_command_and_its_crash_keep_their_codes(monkeypatch, capsys):
    from harness import trace

    def stopped(*parts):
        raise KeyboardInterrupt

    def crash(*parts):
        raise RuntimeError("ours to mend")

    monkeypatch.setattr(trace, "trace", stopped)
    assert dalle(capsys, "trace", "x") == (130, "", "STOPPED dalle trace\n")
    monkeypatch.setattr(trace, "trace", crash)
    code, _, error = dalle(capsys, "trace", "x")
    assert code == 1 and "Traceback" in error and "RuntimeError: ours to mend" in error
