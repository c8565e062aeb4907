"""A git repository with experiments in it, as DVC leaves them, made without DVC: what each stage would write is a formula."""

import hashlib
import json
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

PARAMS = {
    "seed": 0,
    "run": {"experiment": "toy", "device": "cpu"},
    "prepare_data": {"rows": 10, "birds": 5},
    "train_dvae": {"beta": {"end": 1.5}, "quantizer": "gumbel", "optim": {"updates": 60}},
    "train_prior": {"layers": 2, "optim": {"updates": 40}},
    "evaluate": {"features": "lite0"},
}
# deps, keys of params, outs; code.py and data/prepared/coco.parquet are what the stages share and what lies inside an out
STAGES = {
    "prepare_data": (["code.py"], ["seed", "prepare_data"], ["data/prepared"]),
    "train_dvae": (["code.py", "data/prepared"], ["seed", "train_dvae"], ["models/dvae"]),
    "train_prior": (["code.py", "models/dvae"], ["train_prior"], ["models/prior"]),
    "evaluate@coco": (["data/prepared/coco.parquet", "models/prior"], ["evaluate"], []),
}
COLUMNS = "domain,model,features,blur_kind,blur_radius,reference,candidates,num_samples,metric,value,low,high"


class ToyExperiments:
    """The project in a folder; `run` does what `dvc repro` of some stages would, `keep` what `dvc exp run -n` does then."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")
        self.params = json.loads(json.dumps(PARAMS))
        self.lock: dict = {"schema": "2.0", "stages": {}}
        self.write_params()
        (root / "code.py").write_text("1\n")
        self.run(*STAGES)
        self.git("add", "--all")
        self.commit("baseline")

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "core.autocrlf=false", *arguments]
        return subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str) -> str:
        self.git("commit", "--quiet", "--all", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def set(self, **changes: object) -> None:
        """`train_dvae__beta__end=0.5`"""
        for key, value in changes.items():
            *sections, leaf = key.split("__")
            section = self.params
            for name in sections:
                section = section[name]
            section[leaf] = value
        self.write_params()

    def write_params(self) -> None:
        self.dump(self.params, "params.yaml")

    def write_lock(self) -> None:
        self.dump(self.lock, "dvc.lock")

    def run(self, *stages: str) -> None:
        for stage in stages:
            deps, keys, outs = STAGES[stage]
            deps = [{"path": path, "md5": self.digest(path)} for path in deps]
            values = json.loads(json.dumps({key: self.params[key] for key in keys}))
            self.lock["stages"][stage] = entry = {"deps": deps, "params": {"params.yaml": values}}
            seen = json.dumps([deps, values])
            entry["outs"] = [{"path": path, "md5": f"{md5(f'{path}{seen}')}.dir"} for path in outs]
            entry["outs"] += [self.result(path, text) for path, text in self.results(stage).items()]
        self.write_lock()

    def digest(self, path: str) -> str | None:
        """What a stage finds at `path` now; coco.parquet depends on the rows alone: the birds are elsewhere in its folder."""
        if path == "code.py":
            return md5((self.root / path).read_text())
        if path.endswith("coco.parquet"):
            return md5(f"coco {self.params['prepare_data']['rows']}")
        made = [out for entry in self.lock["stages"].values() for out in entry["outs"] if out["path"] == path]
        return made[0]["md5"] if made else None

    def result(self, path: str, text: str) -> dict:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)
        return {"path": path, "md5": md5(text)}

    def results(self, stage: str) -> dict[str, str]:
        beta, layers = self.params["train_dvae"]["beta"]["end"], self.params["train_prior"]["layers"]
        label = stage.replace("@", "-")
        metrics, curve = {"rows/total": self.params["prepare_data"]["rows"]}, ""
        if stage == "train_dvae":
            metrics = {"valid/psnr_db": 28 - beta, "valid/elbo_true": 2.5, "valid/elbo_relaxed": 2.5 + beta / 100}
            curve = "step,valid/psnr_db\n" + "".join(f"{step},{27 + step / 60 - beta}\n" for step in (19, 39, 59))
        elif stage == "train_prior":
            metrics = {"valid/image_loss": round(3 - beta / 10 - layers / 10, 6)}
            curve = "step,valid/image_loss\n" + "".join(f"{step},{5 - beta - step / 40}\n" for step in (19, 39))
        elif stage == "evaluate@coco":
            metrics = {f"fid/dalle_best_of_{n}": 90 - 5 * layers - beta - n for n in (1, 2, 4)}
        found = {f"reports/metrics/{label}.json": json.dumps(metrics)}
        if stage == "evaluate@coco":
            features = self.params["evaluate"]["features"]
            rows = [f"coco,dalle,{features},pil,0,all,{k[-1]},200,fid,{v},{v - 1},{v + 1}" for k, v in metrics.items()]
            found[f"reports/metrics/{label}.csv"] = "\n".join([COLUMNS, *rows]) + "\n"
        return found | ({f"reports/curves/{label}.csv": curve} if curve else {})

    def keep(self, name: str, baseline: str = "main") -> str:
        """Commit the working tree under refs/exps, then go back to the baseline."""
        parent = self.git("rev-parse", baseline)
        self.git("checkout", "--quiet", "--detach")
        commit = self.commit(f"dvc: commit experiment {name}")
        self.git("update-ref", f"refs/exps/{parent[:2]}/{parent[2:]}/{name}", commit)
        self.git("checkout", "--quiet", baseline)
        self.params, self.lock = self.load("params.yaml"), self.load("dvc.lock")
        return commit

    def experiment(self, name: str, *stages: str, **changes: object) -> str:
        self.set(**changes)
        self.run(*(stages or STAGES))
        return self.keep(name)

    def load(self, path: str) -> dict:
        return YAML(typ="safe", pure=True).load((self.root / path).read_text())

    def dump(self, values: dict, path: str) -> None:
        with open(self.root / path, "w", encoding="utf-8") as file:
            YAML().dump(values, file)


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
