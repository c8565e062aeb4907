"""Stage 1: maximise the evidence lower bound over images, with a uniform prior over the codes (PAPER 2.1, A.2)."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dalle.dvae.likelihood import LikelihoodName
from dalle.dvae.model import DVAE, DVAEConfig, load_dvae
from dalle.dvae.quantizers import GumbelQuantizer, Losses, Quantizer, QuantizerName, VectorQuantizer
from dalle.dvae.validation import comparison_picture, validation_metrics
from dalle.dvae.vq import VectorQuantizedAutoencoder, VQConfig
from dalle.dvae.warm_start import ContinuousAutoencoder, WarmStartConfig, first_codebook, pretrain, set_codebook
from dalle.randomness import derive_seed
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import Log
from dalle.training.loop import OptimConfig, RunOptions, train
from dalle.training.model_folder import weights_sha256
from dalle.training.schedules import Schedule

SCRATCH = "scratch"
NUM_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class TrainDVAEConfig:
    """Where training starts, sizes of the networks, the objective and its schedules, and the optimiser.

    `init` is `scratch` or the folder of a dVAE of the same sizes, whose weights have the sha256 `init_sha256`: nothing else
    tells that another model lies there; with `optim.updates` of 0 it is taken as it is. `schedule_clock` shortens beta, tau
    and the step size by one rule: they run that many of their updates in each update of the training. `crop_scale` is the
    range by which Listing 1 enlarges a picture before it crops: what is kept of it is larger by as much than what the prior
    and every evaluation see. None stands for the evaluation crop itself, neither enlarged nor mirrored. `fid_features` names
    the network by which the last validation measures the FID of reconstructions.
    """

    init: str
    init_sha256: str | None
    quantizer: QuantizerName
    likelihood: LikelihoodName
    codebook_size: int
    num_groups: int
    blocks_per_group: int
    hidden_width: int
    codebook_width: int
    post_gain: float
    crop_scale: tuple[float, ...] | None
    schedule_clock: float
    beta: Schedule
    tau: Schedule
    vq: VQConfig
    warm_start: WarmStartConfig
    optim: OptimConfig
    fid_features: str | None

    def __post_init__(self) -> None:
        scale = self.crop_scale
        if scale is not None and (len(scale) != 2 or not 1 <= scale[0] <= scale[1]):
            wanted = "two rising numbers from 1 on, or null for the evaluation crop"
            raise ValueError(f"crop_scale must be {wanted}, got {list(scale)}")
        if min(self.tau.start, self.tau.end) <= 0:
            raise ValueError(f"tau must stay above 0 (the relaxation divides by it), got {self.tau.start} -> {self.tau.end}")
        if not 1e-6 <= self.schedule_clock <= 1e9:  # nan too
            raise ValueError(f"schedule_clock must be a number above 0, got {self.schedule_clock}")
        if self.init == SCRATCH and self.init_sha256 is not None:
            raise ValueError("init_sha256 is the digest of weights to start from, but init is scratch")
        if self.init != SCRATCH and self.init_sha256 is None:
            raise ValueError(f"init is {self.init!r}, so init_sha256 must be that of its model.safetensors (see sha256sum)")
        if self.init == SCRATCH and not self.optim.updates:
            raise ValueError("optim.updates is 0 and init is scratch: nothing would be learnt; name a folder to start from")
        if self.init != SCRATCH and self.optim.updates and self.quantizer == "vq":
            raise ValueError("quantizer vq starts from scratch only: a finished dVAE has no bottleneck to quantise")

    def model(self, image_size: int) -> DVAEConfig:
        """The part that builds the networks."""
        names = {field.name for field in dataclasses.fields(DVAEConfig)} - {"image_size"}
        return DVAEConfig(image_size=image_size, **{name: getattr(self, name) for name in names})

    def by_the_clock(self) -> "TrainDVAEConfig":
        """The same with the schedules as they run, and a clock of 1."""
        rate = self.optim.learning_rate.faster(self.schedule_clock)
        plateau = self.optim.plateau and self.optim.plateau.faster(self.schedule_clock)
        return dataclasses.replace(
            self,
            beta=self.beta.faster(self.schedule_clock),
            tau=self.tau.faster(self.schedule_clock),
            optim=dataclasses.replace(self.optim, learning_rate=rate, plateau=plateau),
            schedule_clock=1.0,
        )


def train_dvae(
    batch_at: Callable[[int], Tensor],
    valid_images: Tensor,
    config: TrainDVAEConfig,
    *,
    seed: int,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
) -> tuple[DVAE, dict[str, float]]:
    """The trained dVAE (averaged parameters) and its last validation.

    `batch_at(step)` gives images (B, 3, H, W) in [0, 1]; `valid_images` the same, all at once.
    """
    if not len(valid_images):
        raise ValueError("there are no images to validate on: hold some out of the training")
    config = config.by_the_clock()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "dvae"))
        quantizer = _quantizer(batch_at, valid_images.shape[-1], config, seed, options, checkpoint, log)

    def loss_function(model: nn.Module, images: Tensor, step: int, shard: int) -> Losses:
        return quantizer.loss(images, step, shard)

    def validate(model: nn.Module, step: int) -> Mapping[str, float]:
        dvae, tau = quantizer.dvae(), config.tau.at(step) if config.optim.updates else config.tau.end
        log.image("reconstructions", step, comparison_picture(dvae, valid_images[:NUM_SHOWN], options.device))
        return validation_metrics(dvae, valid_images, tau, seed, options.device, config.optim.precision, config.likelihood)

    metrics = train(
        quantizer.module,
        what="dVAE",
        batch_at=batch_at,
        loss_function=loss_function,
        end_update=quantizer.end_update,
        validate=validate,
        optim=config.optim,
        options=options,
        checkpoint=checkpoint,
        log=log,
    )
    return quantizer.dvae(), metrics


def _quantizer(
    batch_at: Callable[[int], Tensor],
    image_size: int,
    config: TrainDVAEConfig,
    seed: int,
    options: RunOptions,
    checkpoint: Checkpoint,
    log: Log,
) -> Quantizer:
    """The quantizer at its start; where a checkpoint exists it brings all values with it, and none are made here."""
    dvae, fresh = DVAE(config.model(image_size)).to(options.device), not checkpoint.path.exists()
    autoencoder = ContinuousAutoencoder(dvae, config.warm_start.bottleneck_noise).to(options.device)

    def codebook() -> tuple[Tensor, float]:
        optim, place = config.warm_start.optim(config.optim), checkpoint.sibling("warm_start")
        pretrain(autoencoder, batch_at, config.optim.updates, optim, config.likelihood, seed, options, place, log)
        batches = (batch_at(index).to(options.device) for index in range(config.warm_start.num_batches))
        return first_codebook(autoencoder, batches, config.codebook_size, config.warm_start, seed)

    if config.quantizer == "vq" and config.init == SCRATCH:
        codes = codebook()[0] if fresh else torch.zeros(config.codebook_size, config.codebook_width, device=options.device)
        module = VectorQuantizedAutoencoder(autoencoder, codes, config.vq)
        return VectorQuantizer(module=module, likelihood=config.likelihood, handed_on=dvae, seed=seed)
    if fresh and config.init != SCRATCH:
        load_start(dvae, Path(config.init), config.init_sha256 or "")
    elif fresh and config.warm_start.updates:
        codes, error = codebook()
        set_codebook(dvae, autoencoder.bottleneck, codes, config.warm_start.sharpness / error)
    hard = config.quantizer == "gumbel_straight_through"
    return GumbelQuantizer(module=dvae, likelihood=config.likelihood, beta=config.beta, tau=config.tau, hard=hard, seed=seed)


def load_start(dvae: DVAE, folder: Path, sha256: str) -> None:
    """Give `dvae` the weights of the one in `folder`, which has this digest and the same sizes (pictures may have another)."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ValueError(f"train_dvae.init: {folder} has no {weights.name}; dalle convert-dvae writes such a folder")
    actual = weights_sha256(folder)
    if actual != sha256.lower():
        raise ValueError(f"train_dvae.init_sha256: {weights} has the sha256 {actual}, not {sha256}")
    found = load_dvae(folder)
    for name, asked in dataclasses.asdict(dvae.config).items():
        has = getattr(found.config, name)
        if has != asked and name != "image_size":  # the networks are convolutional
            raise ValueError(f"train_dvae.init: the dVAE in {folder} has {name} {has}, train_dvae.{name} is {asked}")
    dvae.load_state_dict(found.state_dict())
