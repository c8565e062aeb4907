"""How well the chosen images match their captions by the CLIP that chose them (PAPER 5)."""

import pandas as pd

from dalle.evaluation.table import Row


def clip_score_rows(ranking: pd.DataFrame, *, domain: str, model: str) -> list[Row]:
    """The winners' mean similarity for every N; low and high are one standard error away.

    `ranking` has `candidates, score`. The reranker judges its own choice, so this rises with N by construction.
    """
    rows = []
    for candidates, scores in ranking.groupby("candidates")["score"]:
        mean, error = float(scores.mean()), float(scores.sem())
        rows.append(
            {
                "domain": domain,
                "model": model,
                "features": "clip",
                "blur_kind": "none",
                "blur_radius": 0.0,
                "reference": "all",
                "candidates": int(candidates),
                "num_samples": len(scores),
                "metric": "clip_score",
                "value": mean,
                "low": mean - error,
                "high": mean + error,
            }
        )
    return rows
