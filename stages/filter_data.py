"""Training pairs through the filters of Appendix C; what is dropped is written down with the rule that dropped it."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dalle.clip.model import load_clip
from dalle.clip.scoring import clip_scores
from dalle.data.bpe import CaptionTokenizer
from dalle.data.filtering.filter_pairs import filter_pairs
from dalle.data.filtering.rule_list import rules_on
from dalle.data.filtering.rules.clip_score import Config as ClipScoreConfig
from dalle.data.filtering.rules.not_english import num_foreign_to_cld3
from dalle.data.filtering.truth import score_against_truth
from dalle.data.images import load_evaluation_images
from dalle.data.manifest import manifest_writer
from dalle.data.splits import assign_split
from dalle.training.model_folder import weights_sha256
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config, start = stage.params.filter_data, time.monotonic()
    # only the miniature world knows the truth; no training ever reads it
    truth = Path("data/prepared/truth/web.parquet")
    filtered = filter_pairs(
        Path("data/prepared/web.parquet"),
        config.rules,
        folder=stage.scratch,
        processes=torch.get_num_threads(),
        clip_scores=scores_by(config.rules.clip_score, stage.options.device) if config.rules.clip_score else None,
    )
    num_kept = num_valid = num_foreign = 0
    counts: Counter[str] = Counter()
    with stage.output("data/filtered") as folder:
        folder.mkdir(parents=True)
        with manifest_writer(folder / "pairs.parquet") as writer:
            for number, (kept, dropped) in enumerate(filtered):
                kept["split"] = assign_split(kept["image_id"], config.valid_fraction, stage.params.seed)
                writer.write(kept)
                dropped.to_csv(folder / "dropped.csv", mode="a", index=False, header=number == 0)
                counts.update(dropped["rule"])
                num_kept, num_valid = num_kept + len(kept), num_valid + int((kept["split"] == "valid").sum())
                if truth.exists() and config.rules.not_english:
                    num_foreign += num_foreign_to_cld3(kept["caption"], config.rules.not_english)
    num_pairs, rules = num_kept + counts.total(), rules_on(config.rules)
    stage.throughput(pairs_per_second=num_pairs / (time.monotonic() - start))
    metrics = {"pairs/total": num_pairs, "pairs/kept": num_kept, "pairs/valid": num_valid}
    metrics |= {f"dropped/{rule}": counts[rule] for rule in rules}
    if truth.exists():
        all_dropped = pd.read_csv("data/filtered/dropped.csv", dtype=str, keep_default_na=False)
        metrics |= score_against_truth(all_dropped, pd.read_parquet(truth), rules)
        if config.rules.not_english:
            metrics["language/kept_against_cld3"] = num_foreign
    stage.finish(metrics)


def scores_by(config: ClipScoreConfig, device: str) -> Callable[[pd.DataFrame], np.ndarray]:
    """The similarity of every pair by a CLIP of this project; weights that are not the ones named are a `ValueError`."""
    actual = weights_sha256(Path(config.clip))
    if actual != config.clip_sha256:
        raise ValueError(f"filter_data.rules.clip_score.clip_sha256 is {config.clip_sha256}, but {config.clip} has {actual}")
    clip, tokenizer = load_clip(Path(config.clip)).to(device), CaptionTokenizer.load(Path(config.tokenizer))

    def scores(pairs: pd.DataFrame) -> np.ndarray:
        def images(rows: slice) -> np.ndarray:
            return load_evaluation_images(pairs.iloc[rows], clip.config.image_size)

        return clip_scores(clip, tokenizer, pairs["caption"].tolist(), images, num_candidates=1)[:, 0]

    return scores


if __name__ == "__main__":
    run_stage(main)
