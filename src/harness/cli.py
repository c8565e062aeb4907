"""The `dalle` command: which parameters the pipeline runs with, and which runs made what is on disk."""

import argparse
import sys
from pathlib import Path

from harness import presets, tracking
from harness.failures import exit_code_of
from harness.lineage import read_record
from harness.params import load_params, read_yaml
from harness.pipeline import read_pipeline
from harness.stage import is_alive, workspace_root

PARAMS, PRESETS = Path("params.yaml"), Path("presets")


def main(arguments: list[str] | None = None, tree: type | None = None) -> None:
    options = _parser().parse_args(arguments)
    sys.exit(exit_code_of(f"dalle {options.command}", lambda: options.action(options, tree)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dalle", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    preset = commands.add_parser("preset", help="list the presets, or rewrite params.yaml as one of them")
    preset.add_argument("name", nargs="?", help="the preset to switch to")
    preset.add_argument("assignments", nargs="*", metavar="KEY=VALUE", help="parameters to change on top of it")
    preset.set_defaults(action=_preset)
    runs = commands.add_parser("runs", help="show which run made the outputs of each stage")
    runs.add_argument("--close-stale", action="store_true", help="mark runs without a living process as KILLED")
    runs.set_defaults(action=_runs)
    return parser


def _preset(options: argparse.Namespace, tree: type | None) -> None:
    if options.name is None:
        _list_presets()
        return
    changed = presets.apply_preset(options.name, options.assignments, PARAMS, PRESETS, tree)
    print(f"params.yaml is now preset {options.name}" + (": nothing changed" if not changed else ""))
    for line in changed:
        print(f"  {line}")


def _list_presets() -> None:
    nearest, differing = presets.active_preset(read_yaml(PARAMS), PRESETS)
    for name in presets.preset_names(PRESETS):
        print(f"{'*' if name == nearest and not differing else ' '} {name:10} {presets.description(name, PRESETS)}")
    if differing:
        print(f"params.yaml is none of them; nearest is {nearest}, from which it differs in:")
        for line in differing:
            print(f"  {line}")


def _runs(options: argparse.Namespace, tree: type | None) -> None:
    params, root = load_params(PARAMS, tree), workspace_root()
    client = tracking.connect(root)
    if options.close_stale:
        experiment = tracking.experiment_id(client, params.run.experiment)
        stale = tracking.close_stale_runs(client, experiment, root, is_alive(root)) if experiment else []
        for run in stale:
            print(f"marked as KILLED: {run.info.run_name} {run.info.run_id}")
    stages = read_pipeline(Path("dvc.yaml"), read_yaml(PARAMS))
    records = {stage.address: read_record(stage) for stage in stages}
    statuses = tracking.run_statuses(client, [record.run_id for record in records.values() if record and record.run_id])
    for stage, record in records.items():
        if record is None:
            print(f"{stage:24} not run")
        else:
            run = f"{record.run_id} {statuses[record.run_id]}" if record.run_id else "not tracked"
            print(f"{stage:24} {record.seconds:8.1f} s  {run}")


if __name__ == "__main__":
    main()
