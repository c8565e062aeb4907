"""The shape of params.yaml: one field a section, each section a dataclass in the file of the part that uses it.

Sections that only a stage's script needs (paths, counts, batch sizes) are declared here.
"""

from dataclasses import dataclass
from typing import Literal

from dalle.baselines.damsm.train import TrainDamsmConfig
from dalle.baselines.dfgan.train import TrainDFGANConfig
from dalle.clip.train import TrainClipConfig
from dalle.data.bpe import Spaces
from dalle.data.evaluation_captions import CaptionChoice
from dalle.data.filtering.rule_list import FilterConfig
from dalle.data.sources.options import SourceOptions
from dalle.dvae.train import TrainDVAEConfig
from dalle.evaluation.features import NETWORKS
from dalle.evaluation.protocol import Protocol
from dalle.finetuning.train import FinetunePriorConfig
from dalle.generation.completion import check_rows
from dalle.generation.encoding import Codes
from dalle.generation.sampling import SampleConfig
from dalle.human_eval.checks import VoteRules
from dalle.human_eval.pairs import SheetConfig
from dalle.human_eval.simulated import SimulatedRaters
from dalle.miniworld.corpora import MiniworldConfig
from dalle.overlap.train import TrainDetectorConfig
from dalle.prior.train import TrainPriorConfig
from dalle.training.precision import Precision
from harness.run_config import FINETUNED, MINIWORLD, RunConfig

BASELINES = ("dfgan",)
OWN_MODELS = ("dalle", FINETUNED, "dvae", "real", *BASELINES)


@dataclass(frozen=True, kw_only=True)
class PrepareDataConfig(SourceOptions):
    """Where each corpus comes from: `miniworld` renders it, anything else is the folder of a real one.

    `web`, the training pairs, may also be the word `coco` or `cub`: the training split of that corpus.
    """

    web: str
    coco: str
    cub: str
    miniworld: MiniworldConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coco == MINIWORLD and self.coco_year != 2014:
            raise ValueError(f"coco_year is {self.coco_year}, but coco is miniworld, which has the layout of 2014")
        if self.cub == MINIWORLD and self.cub_split == "filenames":
            raise ValueError("cub_split is filenames, but cub is miniworld, which has testclasses and train_test_split")


@dataclass(frozen=True, kw_only=True)
class FilterDataConfig:
    """The rules, and which share of the kept images is held out of every training."""

    rules: FilterConfig
    valid_fraction: float

    def __post_init__(self) -> None:
        if not 0 < self.valid_fraction < 1:
            raise ValueError(f"valid_fraction must be between 0 and 1, got {self.valid_fraction}")
        if self.rules.clip_score and not (self.rules.undecodable and self.rules.undecodable.decode):
            raise ValueError("rules.clip_score looks at every image, so rules.undecodable must have decode: true")


@dataclass(frozen=True, kw_only=True)
class TrainTokenizerConfig:
    """`spaces`: a token of its own for every space, or a part of the word after it, which halves the tokens of a caption."""

    vocab_size: int
    spaces: Spaces


@dataclass(frozen=True, kw_only=True)
class PrecomputeTokensConfig:
    """`views` crops of each image are stored: the first is the evaluation crop, the others are drawn by Listing 2.

    `codes` of a crop are the most probable ones, as in the paper, or `sampled` from the encoder's distribution, whose entropy
    is then in every loss of the prior: losses on one kind of codes do not compare with losses on the other.
    """

    views: int
    codes: Codes
    batch_size: int
    pairs_per_shard: int
    precision: Precision

    def __post_init__(self) -> None:
        _at_least(self, 1, "views", "batch_size", "pairs_per_shard")


@dataclass(frozen=True, kw_only=True)
class EvaluationCaptions:
    """Which captions of each domain may be drawn (see `choose_captions`)."""

    coco: CaptionChoice
    cub: CaptionChoice


@dataclass(frozen=True, kw_only=True)
class SampleDomainConfig(SampleConfig):
    """How candidates are drawn, and for which and how many captions of a domain (all, where it has fewer, or for None)."""

    captions: EvaluationCaptions
    num_captions: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_captions is not None:
            _at_least(self, 2, "num_captions")


@dataclass(frozen=True, kw_only=True)
class CompleteConfig(SampleConfig):
    """How pictures are completed from their first `rows` rows of tokens.

    `source`: the word miniworld, or a folder with `captions.jsonl`, or None where nothing is to be completed.
    """

    source: str | None
    rows: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source is not None and not self.source.strip():
            raise ValueError("source must be miniworld, a folder with captions.jsonl, or null: nothing is completed")
        _at_least(self, 1, "rows")


@dataclass(frozen=True, kw_only=True)
class RerankConfig:
    """The numbers of candidates among which a winner is chosen (Fig. 6, 9c)."""

    sweep: tuple[int, ...]
    batch_size: int
    precision: Precision

    def __post_init__(self) -> None:
        _at_least(self, 1, "batch_size")
        if not self.sweep or list(self.sweep) != sorted(set(self.sweep)) or self.sweep[0] < 1:
            raise ValueError(f"sweep must be rising numbers of candidates from 1 on, got {list(self.sweep)}")


@dataclass(frozen=True, kw_only=True)
class FindOverlapConfig:
    """An evaluation image counts as seen in training where its nearest training image is at least `threshold` near, a cosine.

    `batch_size` images are embedded at a time, and as many as `block_size` training images compared with.
    """

    threshold: float
    batch_size: int
    block_size: int
    precision: Precision

    def __post_init__(self) -> None:
        _at_least(self, 1, "batch_size", "block_size")
        if not -1 <= self.threshold <= 1:
            raise ValueError(f"threshold must be a cosine, from -1 to 1, got {self.threshold}")


@dataclass(frozen=True, kw_only=True)
class DFGANConfig(TrainDFGANConfig):
    """`text_encoder`: of this pipeline's CLIP, or `damsm`, one trained on the same pairs first, as in the original.

    `valid_fraction` of the images are held out, to tell what the discriminator has learnt from what it knows by heart.
    """

    text_encoder: Literal["clip", "damsm"]
    valid_fraction: float

    def __post_init__(self) -> None:
        if not 0 < self.valid_fraction < 1:
            raise ValueError(f"valid_fraction must be between 0 and 1, got {self.valid_fraction}")


@dataclass(frozen=True, kw_only=True)
class TrainBaselineConfig:
    """A section a GAN, and the text encoder that those share which do not take CLIP's."""

    dfgan: DFGANConfig
    damsm: TrainDamsmConfig


@dataclass(frozen=True, kw_only=True)
class SampleBaselineConfig:
    """`truncation`: a baseline's noise is this times a standard normal cut at two deviations."""

    truncation: float
    batch_size: int

    def __post_init__(self) -> None:
        _at_least(self, 1, "batch_size")
        if self.truncation <= 0:
            raise ValueError(f"truncation must be positive, got {self.truncation}")


@dataclass(frozen=True, kw_only=True)
class ExternalSamplesConfig:
    """Another model's samples for a domain: a folder with as many images as captions are drawn for, as `dalle evaluate` reads.

    `match: caption_id` says that files are called <caption_id>.png, or that a samples.csv names the ids; `image_id` that names
    or a samples.csv tell the evaluation image alone, as the GANs' own code writes them, and nobody knows which of its captions
    was drawn; `none` that not even that is known. Only with `caption_id` an image can be judged by its caption, or shown to
    people. `resize` reduces larger images to `image_size`, as the reference is. `sha256` is of the folder, as `dalle evaluate`
    prints it: DVC does not watch it.
    """

    name: str
    domain: Literal["coco", "cub"]
    folder: str
    match: Literal["caption_id", "image_id", "none"]
    resize: bool
    sha256: str

    def __post_init__(self) -> None:
        if self.name in OWN_MODELS:
            raise ValueError(f"name must not be one of ours ({', '.join(OWN_MODELS)}), got {self.name}")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Protocol):
    """`rerank_subsets`: orders of the candidates over which the curve over N is averaged; 0 for the order of drawing alone."""

    rerank_subsets: int
    external: tuple[ExternalSamplesConfig, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rerank_subsets == 1 or self.rerank_subsets < 0:
            raise ValueError(f"rerank_subsets must be 0, or 2 and more for an interval, got {self.rerank_subsets}")
        names = [(external.domain, external.name) for external in self.external]
        if len(set(names)) < len(names):
            raise ValueError(f"external: two models of one domain have one name: {names}")


@dataclass(frozen=True, kw_only=True)
class HumanEvalConfig(SheetConfig):
    """Which two models people compare on a domain's first `num_pairs` captions (all, where it has fewer, or for None).

    `model` and `rival` are names as in the domain's evaluation; dalle is the best of the most candidates.
    """

    domain: Literal["coco", "cub"]
    num_pairs: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_pairs is not None:
            _at_least(self, 2, "num_pairs")


@dataclass(frozen=True, kw_only=True)
class TallyVotesConfig:
    """Which votes count and, `simulated`, whether raters made of rules and noise vote where no people have.

    They know the miniature world alone: of other pictures there are people's votes or none. `bootstrap`: resamples of the
    captions behind the interval of the share of votes.
    """

    rules: VoteRules
    bootstrap: int
    simulated: bool
    simulated_raters: SimulatedRaters

    def __post_init__(self) -> None:
        _at_least(self, 1, "bootstrap")


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """`columns`: captions shown in figures of samples; `best_of`: the rows of Fig. 6."""

    columns: int
    best_of: tuple[int, ...]

    def __post_init__(self) -> None:
        _at_least(self, 1, "columns")


@dataclass(frozen=True, kw_only=True)
class Params:
    """All of params.yaml; a stage hands every part its own section, never the tree."""

    seed: int  # of the data and of what is asked of them
    training_seed: int  # of trainings and of what is drawn from their models
    image_size: int
    domains: tuple[Literal["coco", "cub"], ...]
    baselines: tuple[Literal["dfgan"], ...]
    run: RunConfig
    prepare_data: PrepareDataConfig
    filter_data: FilterDataConfig
    train_detector: TrainDetectorConfig
    find_overlap: FindOverlapConfig
    train_tokenizer: TrainTokenizerConfig
    train_dvae: TrainDVAEConfig
    precompute_tokens: PrecomputeTokensConfig
    train_prior: TrainPriorConfig
    train_clip: TrainClipConfig
    sample: SampleDomainConfig
    complete: CompleteConfig
    rerank: RerankConfig
    train_baseline: TrainBaselineConfig
    sample_baseline: SampleBaselineConfig
    finetune_prior: FinetunePriorConfig
    evaluate: EvaluateConfig
    human_eval: HumanEvalConfig
    tally_votes: TallyVotesConfig
    report: ReportConfig

    def __post_init__(self) -> None:
        """Rules between sections, checked before any stage starts."""
        grid_size = self.train_dvae.model(self.image_size).grid_size
        if self.complete.source is not None:
            try:
                check_rows(self.complete.rows, grid_size)
            except ValueError as error:
                raise ValueError(f"complete.{error}") from None
        features = self.train_dvae.fid_features
        if features is not None and features not in NETWORKS:
            raise ValueError(f"train_dvae.fid_features: {features!r} is not one of {', '.join(NETWORKS)}, nor null")
        for name in ("train_detector", "train_prior", "train_clip"):
            if not getattr(self, name).optim.updates:
                raise ValueError(f"{name}.optim.updates is 0: only a dVAE that train_dvae.init names is taken as it is")
        if self.rerank.sweep[-1] > self.sample.candidates:
            most = self.rerank.sweep[-1]
            raise ValueError(f"rerank.sweep goes to {most}, but only {self.sample.candidates} sample.candidates are drawn")
        for number in self.report.best_of:
            if number not in self.rerank.sweep:
                raise ValueError(f"report.best_of: {number} is not in rerank.sweep {list(self.rerank.sweep)}")
        if not self.domains:
            raise ValueError("domains must name at least one of coco, cub")
        if not self.baselines:
            raise ValueError(f"baselines must name at least one of {', '.join(BASELINES)}")
        self._check_compared()
        if self.tally_votes.rules.min_votes > self.human_eval.raters:
            most = self.human_eval.raters
            raise ValueError(f"tally_votes.rules.min_votes must be at most human_eval.raters, {most}: else no caption counts")
        web = self.prepare_data.web
        if web in ("coco", "cub") and web not in self.domains:
            raise ValueError(
                f"prepare_data.web is {web}, the training split of a corpus that is not read: add {web} to domains "
                f"{list(self.domains)} (for a folder of that name write ./{web})"
            )
        unread = sorted(set(self.finetune_prior.domains) - set(self.domains))
        if unread:
            domains = list(self.domains)
            raise ValueError(f"finetune_prior.domains: {', '.join(unread)} is not among domains {domains}: take it out")

    def _check_compared(self) -> None:
        """What human_eval compares exists, and is known to be for its captions."""
        config = self.human_eval
        if config.domain not in self.domains:
            raise ValueError(f"human_eval.domain is {config.domain}, which is not among the domains {list(self.domains)}")
        external = {samples.name: samples for samples in self.evaluate.external if samples.domain == config.domain}
        tuned = [FINETUNED] if config.domain in self.finetune_prior.domains else []
        known = ["dalle", *self.baselines, *tuned, *external]
        for key in ("model", "rival"):
            name = getattr(config, key)
            if name not in known:
                raise ValueError(f"human_eval.{key} is {name}, but {config.domain} has {', '.join(known)}")
            if name in external and external[name].match != "caption_id":
                raise ValueError(
                    f"human_eval.{key} is {name}, which evaluate.external gives match: {external[name].match}: nobody knows "
                    "which caption an image is for, so nobody can say whether it matches"
                )

    @property
    def sources(self) -> dict[str, str]:
        """Where every corpus that is read comes from: the word miniworld, or a folder. No web where it is a domain's split."""
        config = self.prepare_data
        corpora = self.domains if config.web in self.domains else ("web", *self.domains)
        completed = {} if self.complete.source is None else {"panels": self.complete.source}
        return {**{corpus: getattr(config, corpus) for corpus in corpora}, **completed}


def _at_least(config: object, least: int, *names: str) -> None:
    for name in names:
        if getattr(config, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(config, name)}")
