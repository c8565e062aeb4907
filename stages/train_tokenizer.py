"""Byte-pair encoding learnt on the kept training captions (2.2)."""

from pathlib import Path

import numpy as np

from dalle.data.bpe import train_tokenizer
from dalle.data.manifest import read_manifest
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    pairs = read_manifest(Path("data/filtered/pairs.parquet"))
    config = stage.params.train_tokenizer
    tokenizer = train_tokenizer(pairs[pairs["split"] == "train"]["caption"], config.vocab_size, config.spaces)
    with stage.output("models/tokenizer") as folder:
        tokenizer.save(folder)
    lengths = [len(tokenizer.encode(caption)) for caption in pairs[pairs["split"] == "valid"]["caption"]]
    stage.finish(
        {
            "vocabulary/size": tokenizer.vocab_size,
            "valid/tokens_per_caption": float(np.mean(lengths)),
            "valid/longest_caption": max(lengths),
        }
    )


if __name__ == "__main__":
    run_stage(main)
