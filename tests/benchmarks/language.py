"""The language rule of the filters beside cld3 alone, on captions planted, written by hand, and real; `make bench` runs it.

It writes reports/benchmarks/language.json. The real ones are names of emoji and descriptions of clip art in some thirty
languages of Latin letters (tests/data/real_captions.py); English and one language at a time are compared, and each language
counts the same. Recall is the share of foreign captions that is found, precision that of foreign ones among as many foreign
as English captions. Captions of fewer letters than the rule judges are left out, but for `recall_of_all`. `margin` is chosen on
one half of the emoji as the smallest tenth that keeps 99.5 % of the English; no other captions take part in the choice.
Seconds are of the CPU for 100,000 captions, each rule in a process of its own, with what it must load.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from dalle.config import from_mapping
from dalle.data.filtering.rules.not_english import Config, explain
from dalle.data.filtering.word_frequencies import nearest_language
from dalle.miniworld.captions import caption_scene
from dalle.miniworld.languages import foreign_caption
from dalle.miniworld.scenes import draw_scene
from dalle.randomness import numpy_generator
from harness.params import read_yaml

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests/data"))  # what the tests have too
from real_captions import LATIN, OTHER_SCRIPTS, Captions, clip_art, emoji_names  # noqa: E402

OUT = Path("reports/benchmarks/language.json")
PLANTED, FOREIGN_PLANTED, TIMED = 10_000, 2_000, 100_000
KEPT = 0.995  # of English captions, at least
TENTHS = range(5, 21)


def config() -> Config:
    return from_mapping(Config, read_yaml(ROOT / "params.yaml")["filter_data"]["rules"]["not_english"])


def verdicts(captions: list[str], rule: Config) -> tuple[np.ndarray, np.ndarray]:
    """Of each caption whether it is dropped, and whether it has letters enough to be judged by its words."""
    dropped = [detail != "" for detail in explain(pd.DataFrame({"caption": captions}), rule)]
    return np.array(dropped), np.array([sum(map(str.isalpha, caption)) >= rule.min_characters for caption in captions])


def scores(captions: Captions, rule: Config) -> dict[str, float]:
    found = {language: verdicts(of_language, rule) for language, of_language in captions.items()}
    judged = {language: float(dropped[is_judged].mean()) for language, (dropped, is_judged) in found.items()}
    of_all = {language: float(dropped.mean()) for language, (dropped, _) in found.items()}
    latin, scripts = sorted(LATIN & set(found)), sorted(OTHER_SCRIPTS & set(found))
    recall, wrong = float(np.mean([judged[language] for language in latin])), judged["en"]
    result = {"english_kept": 1 - wrong, "recall": recall, "precision": recall / (recall + wrong), "languages": len(latin)}
    result["recall_worst"] = min(judged[language] for language in latin)
    result["recall_of_all"] = float(np.mean([of_all[language] for language in latin]))
    return result | ({"recall_other_scripts": float(np.mean([of_all[language] for language in scripts]))} if scripts else {})


def planted() -> Captions:
    rng = numpy_generator("benchmark", "language")
    english = [caption_scene(draw_scene(rng, heldout=False), rng) for _ in range(PLANTED)]
    foreign = [foreign_caption(draw_scene(rng, heldout=False), rng) for _ in range(FOREIGN_PLANTED)]
    return {"en": english, "pl": foreign}  # all of its languages as one


def written() -> Captions:
    texts = {name: (ROOT / f"tests/data/captions/{name}.txt").read_text().splitlines() for name in ("english", "foreign")}
    return {"en": texts["english"], "pl": texts["foreign"]}


def tuning(captions: Captions) -> dict[str, float]:
    least, margins = config().min_characters, {}
    for language in sorted(LATIN & set(captions) | {"en"}):
        judged = [caption for caption in captions[language] if sum(map(str.isalpha, caption)) >= least]
        margins[language] = np.array([margin for _, margin in nearest_language(judged)])
    result: dict[str, float] = {}
    for tenths in TENTHS:
        found = {language: float(np.mean(of_language >= tenths / 10)) for language, of_language in margins.items()}
        kept = 1 - found.pop("en")
        recall = float(np.mean(list(found.values())))
        result |= {f"tuning/{tenths}_tenths/english_kept": kept, f"tuning/{tenths}_tenths/recall": recall}
        if kept >= KEPT:
            result.setdefault("tuning/margin", tenths / 10)
    return result


def seconds(name: str, captions: Path) -> float:
    done = subprocess.run(
        [sys.executable, __file__, "--time", name, "--captions", str(captions)], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def timed(name: str, captions: Path) -> float:
    pairs, start = pd.read_parquet(captions), time.process_time()
    explain(pairs, rules()[name])
    return time.process_time() - start


def rules() -> dict[str, Config]:
    return {"ours": config(), "cld3": dataclasses.replace(config(), margin=None)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", choices=rules())
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if options.time:
        print(timed(options.time, options.captions))
        return
    with tempfile.TemporaryDirectory() as temporary:
        tuned_on, emoji = emoji_names(Path(temporary))
        sets = {"planted": planted(), "written": written(), "emoji": emoji, "clip_art": clip_art(Path(temporary))}
        result = tuning(tuned_on)
        for name, rule in rules().items():
            for which, captions in sets.items():
                found = scores(captions, rule)
                print(name, which, {key: round(value, 4) for key, value in found.items()}, file=sys.stderr)
                result |= {f"{which}/{name}/{key}": value for key, value in found.items()}
        file = Path(temporary) / "captions.parquet"
        everything = [caption for captions in sets.values() for language in captions for caption in captions[language]]
        chosen = numpy_generator("benchmark", "language", "timed").permutation(everything)[:TIMED]
        pd.DataFrame({"caption": chosen}).to_parquet(file)
        result |= {f"seconds/{name}": seconds(name, file) for name in rules()} | {"of/captions": len(chosen)}
    options.out.write_text(json.dumps({key: float(f"{value:.4g}") for key, value in sorted(result.items())}, indent=2) + "\n")
    print(options.out.read_text())


if __name__ == "__main__":
    main()
