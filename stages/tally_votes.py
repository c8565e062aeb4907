"""Votes read, checked and tallied, whoever cast them: the numbers behind Fig. 7 (App. F)."""

import sys
from pathlib import Path

import pandas as pd

from dalle.data.evaluation_captions import evaluation_pairs
from dalle.data.images import load_evaluation_images
from dalle.data.manifest import one_row_per_image, read_manifest
from dalle.evaluation.extractors import open_extractor
from dalle.evaluation.samples import read_reranked
from dalle.human_eval.answer_key import NOISE, OTHER_CAPTION, PAIR, compared_models, read_key
from dalle.human_eval.checks import CHECK, COUNTED, check_votes, rater_shares
from dalle.human_eval.perception import see_pictures, see_real
from dalle.human_eval.simulated import Pictures, simulate_votes, unreadable_captions, write_votes
from dalle.human_eval.tally import CAPTION_COLUMNS, DROPPED_COLUMNS, PEOPLE, SIMULATED
from dalle.human_eval.tally import caption_table, dropped_table, vote_metrics
from dalle.human_eval.votes import read_votes
from harness.rivals import rival_samples
from harness.run_config import MINIWORLD
from harness.stage import Stage, run_stage

VOTES, OUT = Path("reports/human_eval/votes"), Path("human_eval_votes")
METRICS = "reports/metrics"


def main(stage: Stage) -> None:
    config, asked, seed = stage.params.tally_votes, stage.params.human_eval, stage.params.seed
    key = read_key(Path("human_eval/key.csv"))
    if compared_models(key) != {asked.model, asked.rival}:
        raise ValueError(f"human_eval/key.csv compares {compared_models(key)}, params.yaml {asked.model} and {asked.rival}")
    votes, metrics = read_votes(VOTES), {}
    rendered = getattr(stage.params.prepare_data, asked.domain) == MINIWORLD
    simulated = votes.empty and config.simulated and rendered
    with stage.output(OUT) as folder:
        folder.mkdir()
        if simulated:
            pictures = seen(stage, key)
            write_votes(simulate_votes(key, pictures, config.simulated_raters, seed), folder / "simulated")
            votes = read_votes(folder / "simulated")
            metrics["votes/simulated_unreadable_captions"] = unreadable_captions(key, pictures, asked.model)
        raters = SIMULATED if simulated else PEOPLE
        checked = check_votes(votes, key, config.rules, asked.raters)
        write(checked.drop(columns=["problem", "seconds", "duration"]).assign(raters=raters), folder / "votes.csv")
        valid = checked[checked["outcome"].isin((COUNTED, CHECK))]
        write(rater_shares(valid, config.rules).reset_index().assign(raters=raters), folder / "raters.csv")
    captions = caption_table(checked, key, config.rules, model=asked.model, rival=asked.rival).assign(raters=raters)
    dropped = dropped_table(checked).assign(raters=raters)
    for name, table, columns in (("captions", captions, CAPTION_COLUMNS), ("dropped", dropped, DROPPED_COLUMNS)):
        with stage.output(f"{METRICS}/human_eval_{name}.csv") as path:
            write(table[list(columns)], path)
    metrics |= vote_metrics(checked, captions, key, config.rules, raters=asked.raters, resamples=config.bootstrap, seed=seed)
    if len(votes) and not metrics["votes/counted"]:
        print(f"WARNING: none of {len(votes)} votes counts: {METRICS}/human_eval_dropped.csv says why", file=sys.stderr)
    stage.finish({**metrics, "votes/simulated": int(simulated), "votes/wanted_per_caption": asked.raters})


def seen(stage: Stage, key: pd.DataFrame) -> Pictures:
    """What simulated raters see in the compared models' pictures, and in the real ones of the attention checks."""
    asked, size = stage.params.human_eval, stage.params.image_size
    captions = pd.read_csv(f"samples/{asked.domain}/captions.csv", dtype=str, keep_default_na=False)
    reranked = read_reranked(Path(f"reranked/{asked.domain}"))
    images = {"dalle": reranked.images[reranked.winners[:, -1]]}
    images |= {name: of.images for name, of in rival_samples(stage.params, asked.domain, captions, stage.root).items()}
    compared = captions[captions["caption_id"].isin(key.loc[key["kind"] == PAIR, "caption_id"])]
    pairs = evaluation_pairs(read_manifest(Path(f"data/prepared/{asked.domain}.parquet")), asked.domain)
    controls = pairs[pairs["pair_id"].isin(key.loc[key["kind"].isin((NOISE, OTHER_CAPTION)), "caption_id"])]
    found = see_pictures(
        {name: images[name][compared.index.to_numpy()] for name in (asked.model, asked.rival)},
        compared["caption_id"].tolist(),
        compared["caption"].tolist(),
        load_evaluation_images(one_row_per_image(pairs), size),
        open_extractor("lite0", stage.options.device, weights=None, sha256=None),
        stage.params.tally_votes.simulated_raters.neighbourhood,
    )
    real = load_evaluation_images(controls, size)
    return {**found, **see_real(real, controls["pair_id"].tolist(), controls["caption"].tolist())}


def write(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n")


if __name__ == "__main__":
    run_stage(main)
