"""Stage 2 of the paper: the prior over text and image tokens, a sparse transformer (2.2, App. B)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dalle.data.bpe import CaptionTokenizer, pad_text_tokens
from dalle.data.token_store import TokenStore, open_token_store, require_dvae
from dalle.prior.kinds import AnyPrior
from dalle.prior.train import train_prior
from dalle.randomness import derive_seed
from dalle.training.model_folder import save_model, weights_sha256
from harness.stage import Stage, run_stage

NUM_SHOWN = 8


def main(stage: Stage) -> None:
    config = stage.params.train_prior
    store, tokenizer = open_token_store(Path("data/tokens")), CaptionTokenizer.load(Path("models/tokenizer"))
    require_dvae(store, weights_sha256(Path("models/dvae")))
    prior, metrics = train_prior(
        store,
        tokenizer,
        config,
        seed=derive_seed(stage.params.training_seed, "train_prior"),
        options=stage.options,
        checkpoint=stage.checkpoint,
        log=stage.log,
        show=sampler(stage, store, tokenizer),
    )
    with stage.output("models/prior") as folder:
        save_model(prior, prior.config, folder)
    sequence = config.text_length + prior.config.num_positions
    stage.throughput(tokens_per_second=stage.log.updates_per_second() * config.optim.batch_size * sequence)
    stage.finish(metrics)


def sampler(stage: Stage, store: TokenStore, tokenizer: CaptionTokenizer) -> Callable[[AnyPrior, int], None]:
    """Logs one sample for each of the first validation captions: nothing that is trained depends on it."""
    from dalle.dvae.model import load_dvae
    from dalle.generation.decoding import decode_codes
    from dalle.generation.sampling import sample_candidates

    dvae, captions = load_dvae(Path("models/dvae")), store.pairs.query("split == 'valid'").head(NUM_SHOWN)["caption"].tolist()
    token_lists = [tokenizer.encode(caption) for caption in captions]
    text_tokens, _ = pad_text_tokens(token_lists, stage.params.train_prior.text_length, tokenizer.vocab_size)

    def show(prior: AnyPrior, step: int) -> None:
        config, device = stage.params.sample, stage.options.device
        image_tokens = sample_candidates(
            prior,
            torch.from_numpy(text_tokens),
            captions,
            num_candidates=1,
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
            seed=stage.params.training_seed,
            batch_size=NUM_SHOWN,
            device=device,
        )
        images = decode_codes(dvae, image_tokens[:, 0], NUM_SHOWN, device)
        stage.log.image("samples", step, np.concatenate(list(images), axis=1))

    return show


if __name__ == "__main__":
    run_stage(main)
