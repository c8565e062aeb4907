"""Stage 2 of the paper: the sparse transformer over text and image tokens (2.2, App. B)."""

from pathlib import Path

from dalle.data.bpe import CaptionTokenizer
from dalle.data.token_store import open_token_store
from dalle.prior.train import train_prior
from dalle.randomness import derive_seed
from dalle.training.model_folder import save_model
from harness.stage import Stage, run_stage


def main(stage: Stage) -> None:
    config = stage.params.train_prior
    prior, metrics = train_prior(
        open_token_store(Path("data/tokens")),
        CaptionTokenizer.load(Path("models/tokenizer")),
        config,
        seed=derive_seed(stage.params.seed, "train_prior"),
        options=stage.options,
        checkpoint=stage.checkpoint,
        log=stage.log,
    )
    with stage.output("models/prior") as folder:
        save_model(prior, prior.config, folder)
    sequence = config.text_length + prior.config.grid_size**2
    stage.throughput(tokens_per_second=stage.log.updates_per_second() * config.optim.batch_size * sequence)
    stage.finish(metrics)


if __name__ == "__main__":
    run_stage(main)
