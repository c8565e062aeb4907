"""Which curves tell how each training went, in the words of the metrics they log."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What `training_curves` shows of one stage."""

    title: str
    model: str
    groups: Mapping[str, Sequence[str]]
    schedules: Mapping[str, str]

    def of(self, curves: pd.DataFrame) -> "TrainingPlan":
        """What of it this training has: a VQ-VAE has no beta and no tau, a dVAE taken as it is only its validation."""
        has = set(curves.columns[curves.notna().any()])
        groups = {heading: tuple(column for column in columns if column in has) for heading, columns in self.groups.items()}
        return dataclasses.replace(
            self,
            groups={heading: columns for heading, columns in groups.items() if columns},
            schedules={heading: column for heading, column in self.schedules.items() if column in has},
        )


LOSSES_OF_A_PRIOR = {
    "Loss | weighted": ("train/loss", "valid/loss"),
    "Image tokens | nats each": ("train/image_loss", "valid/image_loss"),
    "Text tokens | nats each": ("train/text_loss", "valid/text_loss"),
}
STEP_SIZE = {"step size": "schedule/learning_rate"}
PLANS = {
    "train_dvae": TrainingPlan(
        title="Training the dVAE",
        model="dvae",
        groups={
            "Loss | nats a sub-pixel": ("train/loss",),
            "Evidence lower bound | nats a sub-pixel": ("valid/elbo_relaxed", "valid/elbo_true"),
            "PSNR | dB, hard codes, ↑ higher is better": ("valid/psnr_db",),
            "Codebook used | share of the codes": ("valid/codebook_used",),
        },
        schedules={"β": "schedule/beta", "τ": "schedule/tau", **STEP_SIZE},
    ),
    "train_prior": TrainingPlan(
        title="Training the prior",
        model="dalle",
        groups=LOSSES_OF_A_PRIOR,
        schedules=STEP_SIZE,
    ),
    "train_clip": TrainingPlan(
        title="Training CLIP",
        model="clip",
        groups={
            "Contrastive loss | nats": ("train/loss", "valid/loss"),
            "Retrieval | share found, ↑ higher is better": ("valid/retrieval_top1", "valid/retrieval_top5"),
        },
        schedules=STEP_SIZE,
    ),
    "train_detector": TrainingPlan(
        title="Training the detector of copies",
        model="clip",
        groups={
            "InfoNCE | nats": ("train/loss", "valid/loss"),
            "Altered copies | share found first, ↑ higher": ("valid/top1",),
            "Threshold | as suggested": ("valid/suggested_threshold",),
        },
        schedules=STEP_SIZE,
    ),
}
# a stage for each domain, so their curves are in files of their own
FINETUNING = TrainingPlan(
    title="Fine-tuning the prior", model="dalle_finetuned", groups=LOSSES_OF_A_PRIOR, schedules=STEP_SIZE
)
DFGAN = TrainingPlan(
    title="Training DF-GAN",
    model="df_gan",
    groups={
        "The discriminator's scores | in training": ("train/matching", "train/mismatching", "train/fake"),
        "The same | held-out pairs": ("valid/matching", "valid/mismatching", "valid/fake"),
        "Gradient penalty | k = 2, p = 6": ("train/penalty",),
    },
    schedules={},
)
