"""The `dalle` command: parameters, runs, and where a number comes from."""

import argparse
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from harness.failures import exit_code_of

PARAMS, PRESETS, PIPELINE = Path("params.yaml"), Path("presets"), Path("dvc.yaml")


def main(arguments: list[str] | None = None, tree: type | None = None) -> None:
    options = _parser().parse_args(arguments)
    if arguments is None:  # called from a shell, where `dalle trace ... | head` ends quietly
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(exit_code_of(f"dalle {options.command}", lambda: options.action(options, tree)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dalle", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    preset = commands.add_parser("preset", help="list the presets, or rewrite params.yaml as one of them")
    preset.add_argument("name", nargs="?", help="the preset to switch to")
    preset.add_argument("assignments", nargs="*", metavar="KEY=VALUE", help="parameters to change on top of it")
    preset.set_defaults(action=_preset)
    runs = commands.add_parser("runs", help="show which run made the outputs of each stage")
    runs.set_defaults(action=_runs)
    upload = commands.add_parser("upload", help="send runs that wait here to MLflow, and wait until they are there")
    upload.set_defaults(action=_upload)
    trace = commands.add_parser("trace", help="show what a figure, a metric or any other output was made from")
    trace.add_argument("path", help="an output of a stage, or the name of a figure such as best_of-coco")
    trace.set_defaults(action=_trace)
    _add_compare(commands.add_parser("compare", help="experiments or runs side by side: a table, a figure"))
    ablate = commands.add_parser("ablate", help="run what FOLDER/ablation.yaml asks for: a figure, tables, verdicts")
    ablate.add_argument("folder", type=Path, metavar="FOLDER", help="where ablation.yaml lies and what comes of it is written")
    ablate.set_defaults(action=_ablate)
    check = commands.add_parser("doctor", help="say what this machine lacks for params.yaml; 1 where something is missing")
    check.set_defaults(action=_doctor)
    _add_convert_dvae(commands.add_parser("convert-dvae", help="make a model folder of the dVAE that OpenAI released"))
    return parser


def _add_compare(compare: argparse.ArgumentParser) -> None:
    what = "an experiment, a git revision, or 'workspace'; none: the workspace and all experiments but arms of ablations"
    compare.add_argument("names", nargs="*", metavar="NAME", help=what)
    compare.add_argument("--param", metavar="KEY", help="the parameter of the horizontal axis")
    compare.add_argument("--metric", metavar="STAGE:KEY", action="append", default=[], help="a column; may be repeated")
    compare.add_argument("--runs", metavar="STAGE", help="compare the finished MLflow runs of a stage instead")
    compare.add_argument("--out", metavar="FOLDER", type=Path, help="write table.csv, figure.png and README.md there")
    compare.set_defaults(action=_compare)


def _add_convert_dvae(convert: argparse.ArgumentParser) -> None:
    convert.description = (
        "Rewrite the dVAE that OpenAI released as a model folder. Its two files are at "
        "https://cdn.openai.com/dall-e/encoder.pkl and https://cdn.openai.com/dall-e/decoder.pkl; "
        "they are pickles, and are read without running what a pickle can ask for."
    )
    convert.add_argument("encoder", metavar="ENCODER.pkl", type=Path)
    convert.add_argument("decoder", metavar="DECODER.pkl", type=Path)
    convert.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="a new folder, or an empty one")
    convert.add_argument("--image-size", metavar="PIXELS", type=int, default=256, help="of the images that it will see (256)")
    convert.set_defaults(action=_convert_dvae)


# every command imports what it needs itself: torch and MLflow take a second each


def _preset(options: argparse.Namespace, tree: type | None) -> None:
    from harness import presets

    if options.name is None:
        _list_presets()
        return
    changed = presets.apply_preset(options.name, options.assignments, PARAMS, PRESETS, tree)
    print(f"params.yaml is now preset {options.name}" + (": nothing changed" if not changed else ""))
    for line in changed:
        print(f"  {line}")


def _list_presets() -> None:
    from harness import presets
    from harness.params import read_yaml

    nearest, differing = presets.active_preset(read_yaml(PARAMS), PRESETS)
    for name in presets.preset_names(PRESETS):
        print(f"{'*' if name == nearest and not differing else ' '} {name:10} {presets.description(name, PRESETS)}")
    if differing:
        print(f"params.yaml is none of them; nearest is {nearest}, from which it differs in:")
        for line in differing:
            print(f"  {line}")


def _doctor(options: argparse.Namespace, tree: type | None) -> int:
    from harness import doctor

    def read_params() -> Any:
        from harness.params import load_params  # a package that is missing is what this command is there to say

        return load_params(PARAMS, tree)

    return doctor.report(read_params, Path.cwd())


def _runs(options: argparse.Namespace, tree: type | None) -> None:
    from harness.lineage import read_record
    from harness.params import load_params, read_yaml
    from harness.pipeline import read_pipeline
    from harness.tracking import known_runs

    load_params(PARAMS, tree)
    stages = read_pipeline(PIPELINE, read_yaml(PARAMS))
    records = {stage.address: read_record(stage) for stage in stages}
    _send_finished()
    try:
        runs = known_runs(_root(), [record.run for record in records.values() if record and record.run])
        unknown = "not in MLflow"
    except Exception:  # whatever a server or a library can raise; said above
        runs, unknown = {}, "MLflow cannot be reached"
    for stage, record in records.items():
        if record is None:
            print(f"{stage:24} not run")
        else:
            print(f"{stage:24} {record.seconds:8.1f} s  {runs.get(record.run, unknown) if record.run else 'not tracked'}")


def _upload(options: argparse.Namespace, tree: type | None) -> None:
    if not _send_finished():
        raise ValueError("runs that could not be sent wait in .tracking/: mend what MLflow needs, and call this again")
    print("MLflow has every run that has ended")


def _send_finished() -> bool:
    from harness.uploader import upload_finished

    problem = upload_finished(_root())
    if problem is not None:
        print(f"WARNING: runs cannot be sent to MLflow: {problem}", file=sys.stderr)
    return problem is None


def _trace(options: argparse.Namespace, tree: type | None) -> None:
    from harness.trace import trace

    for line in trace(options.path, PIPELINE, PARAMS, PRESETS, _root()):
        print(line)


def _root() -> Path:
    from harness.lineage import workspace_root

    return workspace_root()


def _compare(options: argparse.Namespace, tree: type | None) -> None:
    from harness import comparison_page as page
    from harness.comparison import compare
    from harness.params import look_up, read_yaml
    from harness.revisions import find_revisions
    from harness.variants import variants_of_revisions, variants_of_runs

    if options.runs and options.names:
        raise ValueError(f"--runs compares all finished runs of {options.runs}: leave out {' '.join(options.names)}")
    if options.runs:
        params = read_yaml(PARAMS)
        _send_finished()
        client = _mlflow()
        variants = variants_of_runs(client, look_up(params, "run.experiment"), options.runs, params)
    else:
        variants = variants_of_revisions(find_revisions(options.names))
    comparison = compare(variants, options.metric, options.param)
    print(page.terminal_text(comparison), end="")
    if options.out:
        first = next((variant for variant in variants if variant.is_baseline), variants[0])
        preset = "" if options.runs else page.preset_words(first, PRESETS)
        command = _command(options, [variant.name for variant in variants])
        page.write_comparison(comparison, options.out, command=command, preset=preset)
        print(f"\nwritten: {options.out / page.PAGE}, {page.FIGURE}, {page.TABLE}")


def _convert_dvae(options: argparse.Namespace, tree: type | None) -> None:
    import hashlib

    from dalle.config import to_mapping
    from dalle.convert.released_dvae import convert_dvae

    dvae = convert_dvae(options.encoder, options.decoder, options.out, options.image_size)
    for name, network in (("encoder", dvae.encoder), ("decoder", dvae.decoder)):
        print(f"{name}: {sum(parameter.numel() for parameter in network.parameters()):,} parameters")
    sizes = {f"train_dvae.{key}": value for key, value in to_mapping(dvae.config).items() if key != "image_size"}
    with (options.out / "model.safetensors").open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    print(f"written: {options.out / 'config.json'}, {options.out / 'model.safetensors'}")
    use = {"train_dvae.init": options.out, "train_dvae.init_sha256": sha256, "train_dvae.optim.updates": 0}
    assignments = [f"{key}={value}" for key, value in {"image_size": dvae.config.image_size, **sizes, **use}.items()]
    print("in the place of stage 1, with any preset for what comes after it:")
    print(f"  {shlex.join(['dalle', 'preset', 'cc3m', *assignments])}")


def _ablate(options: argparse.Namespace, tree: type | None) -> None:
    from harness import ablation_page as page
    from harness.ablation_document import read_document
    from harness.ablation_results import AblationResults, require_metrics
    from harness.ablation_runs import run_arms

    document = read_document(options.folder, PARAMS, PIPELINE, tree)
    outcomes = run_arms(document, PARAMS, PIPELINE, check=lambda outcome: require_metrics(document, outcome))
    results = AblationResults(document=document, outcomes=outcomes)
    for line in page.terminal_lines(results):
        print(line)
    page.write_ablation(results, options.folder, PRESETS)
    print(f"written: {options.folder / page.PAGE}, {page.FIGURE}, {page.TABLE}, {page.FINDINGS}")


def _mlflow() -> Any:
    from harness import tracking

    try:
        return tracking.connect(_root())
    except Exception as error:  # whatever a server or a library can raise
        raise ValueError(f"MLflow cannot be reached: {error}") from None


def _command(options: argparse.Namespace, compared: list[str]) -> str:
    """The `dalle compare` that makes the same again, also when there are more experiments."""
    names = [] if options.runs else compared
    flags = {"--param": [options.param], "--metric": options.metric, "--runs": [options.runs], "--out": [options.out]}
    given = [str(part) for flag, values in flags.items() for value in values if value for part in (flag, value)]
    return shlex.join(["dalle", "compare", *names, *given])


if __name__ == "__main__":
    main()
