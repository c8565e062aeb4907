"""Every figure and the page that shows them, redrawn from metrics, curves and samples."""

from harness.reporting import Evidence, draw_figures, write_report
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    evidence = Evidence.gather(stage.params, stage.root)
    with stage.output("reports/figures") as folder:
        draw_figures(evidence, folder)
    with stage.output("reports/README.md") as path:
        write_report(evidence, path)
    stage.finish({})


if __name__ == "__main__":
    run_stage(main)
