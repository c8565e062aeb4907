"""Training pairs through the filters of Appendix C; what is dropped is written down with the rule that dropped it."""

import time
from pathlib import Path

import pandas as pd

from dalle.data.filtering.rules import count_dropped, filter_pairs
from dalle.data.filtering.truth import score_against_truth
from dalle.data.manifest import read_manifest, write_manifest
from dalle.data.splits import assign_split
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config = stage.params.filter_data
    manifest = read_manifest(Path("data/prepared/web.parquet"))
    start = time.monotonic()
    kept, dropped = filter_pairs(manifest, config)
    stage.throughput(pairs_per_second=len(manifest) / (time.monotonic() - start))
    kept["split"] = assign_split(kept["image_id"], config.valid_fraction, stage.params.seed)
    with stage.output("data/filtered") as folder:
        folder.mkdir(parents=True)
        write_manifest(kept, folder / "pairs.parquet")
        dropped.to_csv(folder / "dropped.csv", index=False)
    metrics = {"pairs/total": len(manifest), "pairs/kept": len(kept), "pairs/valid": int((kept["split"] == "valid").sum())}
    metrics |= {f"dropped/{rule}": count for rule, count in count_dropped(dropped).items()}
    truth = Path("data/prepared/truth/web.parquet")
    if truth.exists():  # only the miniature world knows it; no training ever reads it
        metrics |= score_against_truth(dropped, pd.read_parquet(truth))
    stage.finish(metrics)


if __name__ == "__main__":
    run_stage(main)
