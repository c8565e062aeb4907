"""The commands of `dalle`: what each reads from the command line, and the call that does it."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from harness.drawing import complete, generate
from harness.failures import exit_code_of

PARAMS, PRESETS, PIPELINE = Path("params.yaml"), Path("presets"), Path("dvc.yaml")
PICTURES_PANEL, PIPELINE_PANEL, EXPERIMENTS_PANEL, MODELS_PANEL = "Pictures", "The pipeline", "Experiments", "Models"

app = typer.Typer(
    help="Zero-shot text to image, reproduced: its parameters, runs and pictures, and where a number comes from.",
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode="rich",
)


class Command(TyperCommand):
    """A command whose errors read like a stage's (see `exit_code_of`); what its function returns is the exit code."""

    def invoke(self, context: typer.Context) -> None:
        raise typer.Exit(exit_code_of(f"dalle {self.name}", lambda: super(Command, self).invoke(context)))


def dalle() -> TyperGroup:
    """The whole command, without the hook that typer puts on this process's tracebacks."""
    return typer.main.get_command(app)


app.command(cls=Command, rich_help_panel=PICTURES_PANEL)(generate)
app.command(cls=Command, rich_help_panel=PICTURES_PANEL)(complete)

# every command imports what it needs itself: torch and MLflow take a second each


@app.command(cls=Command, rich_help_panel=PIPELINE_PANEL)
def preset(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="the preset to switch to")] = None,
    assignments: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="parameters to change on top")] = None,
) -> None:
    """List the presets, or rewrite params.yaml as one of them."""
    from harness import presets

    if name is None:
        _list_presets()
        return
    changed = presets.apply_preset(name, assignments or [], PARAMS, PRESETS, context.obj)
    print(f"params.yaml is now preset {name}" + (": nothing changed" if not changed else ""))
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


@app.command(cls=Command, rich_help_panel=PIPELINE_PANEL)
def doctor(context: typer.Context) -> int:
    """Say what this machine lacks for params.yaml; 1 where something is missing."""
    from harness import doctor

    def read_params() -> Any:
        from harness.params import load_params  # a package that is missing is what this command is there to say

        return load_params(PARAMS, context.obj)

    return doctor.report(read_params, Path.cwd())


@app.command(cls=Command, rich_help_panel=PIPELINE_PANEL)
def runs(context: typer.Context) -> None:
    """Show which run made the outputs of each stage."""
    from harness.lineage import read_record
    from harness.params import load_params, read_yaml
    from harness.pipeline import read_pipeline
    from harness.tracking import known_runs

    load_params(PARAMS, context.obj)
    stages = read_pipeline(PIPELINE, read_yaml(PARAMS))
    records = {stage.address: read_record(stage) for stage in stages}
    _send_finished()
    try:
        found = known_runs(_root(), [record.run for record in records.values() if record and record.run])
        unknown = "not in MLflow"
    except Exception:  # whatever a server or a library can raise; said above
        found, unknown = {}, "MLflow cannot be reached"
    for stage, record in records.items():
        if record is None:
            print(f"{stage:24} not run")
        else:
            print(f"{stage:24} {record.seconds:8.1f} s  {found.get(record.run, unknown) if record.run else 'not tracked'}")


@app.command(cls=Command, rich_help_panel=PIPELINE_PANEL)
def trace(
    path: Annotated[str, typer.Argument(metavar="PATH", help="a stage's output, or a figure's name such as best_of-coco")],
) -> None:
    """Show what a figure, a metric or any other output was made from."""
    from harness.trace import trace

    for line in trace(path, PIPELINE, PARAMS, PRESETS, _root()):
        print(line)


@app.command(cls=Command, rich_help_panel=PIPELINE_PANEL)
def upload() -> None:
    """Send runs that wait here to MLflow, and wait until they are there."""
    if not _send_finished():
        raise ValueError("runs that could not be sent wait in .tracking/: mend what MLflow needs, and call this again")
    print("MLflow has every run that has ended")


def _send_finished() -> bool:
    from harness.uploader import upload_finished

    problem = upload_finished(_root())
    if problem is not None:
        print(f"WARNING: runs cannot be sent to MLflow: {problem}", file=sys.stderr)
    return problem is None


def _root() -> Path:
    from harness.lineage import workspace_root

    return workspace_root()


@app.command(cls=Command, rich_help_panel=EXPERIMENTS_PANEL)
def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="an experiment, a git revision, or 'workspace'; none: the workspace and all experiments but arms of ablations",
        ),
    ] = None,
    param: Annotated[str | None, typer.Option(metavar="KEY", help="the parameter of the horizontal axis")] = None,
    metric: Annotated[list[str] | None, typer.Option(metavar="STAGE:KEY", help="a column; may be repeated")] = None,
    runs: Annotated[str | None, typer.Option(metavar="STAGE", help="compare a stage's finished MLflow runs instead")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="write table.csv, figure.png and README.md there")] = None,
) -> None:
    """Experiments or runs side by side: a table, a figure."""
    from harness import comparison_page as page
    from harness.comparison import compare
    from harness.params import look_up, read_yaml
    from harness.revisions import find_revisions
    from harness.variants import variants_of_revisions, variants_of_runs

    names, metrics = names or [], metric or []
    if runs and names:
        raise ValueError(f"--runs compares all finished runs of {runs}: leave out {' '.join(names)}")
    if runs:
        params = read_yaml(PARAMS)
        _send_finished()
        client = _mlflow()
        variants = variants_of_runs(client, look_up(params, "run.experiment"), runs, params)
    else:
        variants = variants_of_revisions(find_revisions(names))
    comparison = compare(variants, metrics, param)
    print(page.terminal_text(comparison), end="")
    if out:
        first = next((variant for variant in variants if variant.is_baseline), variants[0])
        preset = "" if runs else page.preset_words(first, PRESETS)
        compared = [] if runs else [variant.name for variant in variants]
        flags = {"--param": [param], "--metric": metrics, "--runs": [runs], "--out": [out]}
        page.write_comparison(comparison, out, command=_compare_again(compared, flags), preset=preset)
        print(f"\nwritten: {out / page.PAGE}, {page.FIGURE}, {page.TABLE}")


def _compare_again(names: list[str], flags: dict[str, list]) -> str:
    """The `dalle compare` that makes the same again, also when there are more experiments."""
    given = [str(part) for flag, values in flags.items() for value in values if value for part in (flag, value)]
    return shlex.join(["dalle", "compare", *names, *given])


def _mlflow() -> Any:
    from harness import tracking

    try:
        return tracking.connect(_root())
    except Exception as error:  # whatever a server or a library can raise
        raise ValueError(f"MLflow cannot be reached: {error}") from None


@app.command(cls=Command, rich_help_panel=EXPERIMENTS_PANEL)
def evaluate(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="8-bit RGB images of one square size, one a caption")],
    against: Annotated[str, typer.Option(help="a prepared domain (coco, cub), or a folder of images")],
    captions: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="caption_id, caption; where images are called <caption_id>.png and FOLDER has no samples.csv",
        ),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="what file names or FOLDER/samples.csv tell: caption_id (with --captions), none (else), or image_id, a "
            "domain's image, as AttnGAN, DM-GAN and DF-GAN name their samples, but not which of its captions was drawn",
        ),
    ] = None,
    resize: Annotated[bool, typer.Option("--resize", help="reduce larger samples to the image_size of params.yaml")] = False,
    name: Annotated[str | None, typer.Option(metavar="MODEL", help="in tables and figures; the folder's, if not given")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="evaluate.csv, blur_curves.png, README.md are written there; else in evaluation/MODEL"
        ),
    ] = None,
) -> None:
    """Score a folder of images from any model by the protocol of params.yaml, section evaluate."""
    from harness.evaluate_command import Request, evaluate_folder
    from harness.params import load_params

    model = name or folder.resolve().name
    request = Request(
        folder=folder,
        against=against,
        captions=captions,
        match=match or ("none" if captions is None else "caption_id"),
        resize=resize,
        name=model,
        out=out or Path("evaluation", model),
    )
    for line in evaluate_folder(request, load_params(PARAMS, context.obj)):
        print(line)


@app.command(cls=Command, rich_help_panel=EXPERIMENTS_PANEL)
def ablate(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="where ablation.yaml lies, and where all is written")],
) -> None:
    """Run what FOLDER/ablation.yaml asks for: a figure, tables, verdicts."""
    from harness import ablation_page as page
    from harness.ablation_document import read_document
    from harness.ablation_results import AblationResults, require_metrics
    from harness.ablation_runs import run_ablation

    document = read_document(folder, PARAMS, PIPELINE, context.obj)
    outcomes = run_ablation(document, PARAMS, PIPELINE, check=lambda outcome: require_metrics(document, outcome))
    results = AblationResults(document=document, outcomes=outcomes)
    for line in page.terminal_lines(results):
        print(line)
    page.write_ablation(results, folder, PRESETS)
    print(f"written: {folder / page.PAGE}, {page.FIGURE}, {page.TABLE}, {page.FINDINGS}")


@app.command(cls=Command, rich_help_panel=EXPERIMENTS_PANEL)
def seeds(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="N", help="seeds in all, with the one of params.yaml, which has run")],
    targets: Annotated[
        list[str] | None,
        typer.Option(metavar="STAGE", help="run up to this stage alone, and collect what comes before it; may be repeated"),
    ] = None,
) -> None:
    """Repeat the trainings with other seeds: reports/metrics/seeds.csv.

    The other N - 1 runs have the next values of training_seed and the same data, captions and parameters, each in a copy of
    the project. A seed that has finished is not run again; one that was stopped goes on at its last checkpoint.
    """
    from harness.seeds import SEEDS_FILE, plan_seeds, run_seeds, values_of, write_seeds

    runs = plan_seeds(number, targets or [], PARAMS, PIPELINE, context.obj)
    variants = run_seeds(runs, PARAMS, PIPELINE)
    found = [values_of(variant, runs.labels) for variant in variants]
    by_seed = {
        seed: {key: measured.value for key, measured in values.items()} for seed, values in zip(runs.seeds, found, strict=True)
    }
    print(f"written: {SEEDS_FILE}, {write_seeds(by_seed)} numbers of {number} seeds")


@app.command(cls=Command, rich_help_panel=EXPERIMENTS_PANEL)
def verify(
    against: Annotated[
        str,
        typer.Option(metavar="REV|FOLDER", help="a git revision with results, or a folder with dvc.lock and reports/metrics"),
    ] = "HEAD",
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write everything there")] = None,
    everything: Annotated[bool, typer.Option("--all", help="show every out and metric, not only what stands out")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="fail beyond three standard deviations, too")] = False,
) -> int:
    """Compare this workspace's results with the committed ones; 1 where a number is outside or missing.

    A number is within the seeds' spread where it lies at most 3 s (1 + 1/n)^0.5 from the mean of the n seeds of
    reports/metrics/seeds.csv. s is their standard deviation, averaged (in variance) with what is typical of numbers of its
    kind, because few seeds tell a deviation badly. It is outside where Student's t leaves that distance a chance of 0.05,
    divided by how many numbers are judged: then one honest run in twenty fails. What lies between is shown as beyond three
    standard deviations, and fails with --strict. Counts that are the same for every seed must be equal. Where no seeds tell
    the spread, a number may move by 2 % of itself, or by 0.02 where it lies between 0 and 1.
    Bytes are compared by dvc.lock; other bytes fail nothing.
    """
    import json

    from harness import verify as checks
    from harness.outputs import written_whole
    from harness.verify_page import terminal_lines

    found = checks.verify(against)
    for line in terminal_lines(found, everything=everything, strict=strict):
        print(line)
    if json_file:
        with written_whole(json_file) as path:
            path.write_text(json.dumps(checks.as_mapping(found, strict), indent=2, allow_nan=False) + "\n")
        print(f"written: {json_file}")
    return int(bool(found.failures(strict)))


@app.command(cls=Command, rich_help_panel=MODELS_PANEL)
def convert_dvae(
    encoder: Annotated[Path, typer.Argument(metavar="ENCODER.pkl")],
    decoder: Annotated[Path, typer.Argument(metavar="DECODER.pkl")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="a new folder, or an empty one")],
    image_size: Annotated[int, typer.Option(metavar="PIXELS", help="of the images that it will see")] = 256,
) -> None:
    """Make a model folder of the dVAE that OpenAI released.

    Its two files are at
    https://cdn.openai.com/dall-e/encoder.pkl
    https://cdn.openai.com/dall-e/decoder.pkl
    They are pickles, and are read without running what a pickle can ask for.
    """
    import hashlib

    from dalle.config import to_mapping
    from dalle.convert.released_dvae import convert_dvae

    dvae = convert_dvae(encoder, decoder, out, image_size)
    for name, network in (("encoder", dvae.encoder), ("decoder", dvae.decoder)):
        print(f"{name}: {sum(parameter.numel() for parameter in network.parameters()):,} parameters")
    sizes = {f"train_dvae.{key}": value for key, value in to_mapping(dvae.config).items() if key != "image_size"}
    with (out / "model.safetensors").open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    print(f"written: {out / 'config.json'}, {out / 'model.safetensors'}")
    use = {"train_dvae.init": out, "train_dvae.init_sha256": sha256, "train_dvae.optim.updates": 0}
    assignments = [f"{key}={value}" for key, value in {"image_size": dvae.config.image_size, **sizes, **use}.items()]
    print("in the place of stage 1, with any preset for what comes after it:")
    print(f"  {shlex.join(['dalle', 'preset', 'cc3m', *assignments])}")
