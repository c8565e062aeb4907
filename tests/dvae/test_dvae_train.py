import numpy as np
import pytest
import torch

from dalle.dvae import quantizers, validation
from dalle.dvae.likelihood import logit_laplace_nll, map_pixels
from dalle.dvae.loss import kl_to_uniform
from dalle.dvae.quality import psnr_db, ssim
from dalle.dvae.relaxation import gumbel_softmax
from dalle.dvae.train import train_dvae
from dalle.dvae.validation import validation_metrics
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import RunOptions
from dalle.training.schedules import Schedule
from tiny_dvaes import blobs, constant, tiny_dvae, train_config

UNHURRIED = RunOptions(device="cpu", data_workers=0, log_every=1, checkpoint_seconds=1e9)


class PowerCut(Exception):
    pass


def run(config, folder, *, seed=1, options=UNHURRIED, cuts=(), valid_images=None, asked=None, num_batches=1000):
    """Train to the end, starting again after a power cut at each of the batches `cuts`: (dVAE, metrics, log)."""
    log, cuts, asked = MemoryLog(), list(cuts), [] if asked is None else asked
    valid_images = blobs(24, 0) if valid_images is None else valid_images

    def batch_at(step):
        asked.append(step)
        if cuts and step == cuts[0]:
            cuts.pop(0)
            raise PowerCut
        return blobs(16, 1 + step % num_batches)

    while True:
        try:
            dvae, metrics = train_dvae(
                batch_at, valid_images, config, seed=seed, options=options, checkpoint=Checkpoint(folder / "state.pt"), log=log
            )
        except PowerCut:
            continue
        assert not cuts
        return dvae, metrics, log


def bound_without_codes(images, fitted_to):
    """The true bound of the best model that says the same of every image: one location and scale a channel, and no KL."""
    logits = torch.logit(map_pixels(fitted_to)).transpose(0, 1).flatten(1)
    mu = logits.median(1).values
    ln_b = (logits - mu[:, None]).abs().mean(1).log()
    maps = torch.cat([mu, ln_b]).view(1, 6, 1, 1).expand(len(images), -1, *images.shape[2:])
    return -logit_laplace_nll(maps, map_pixels(images)).mean().item()


def test_sixty_updates_lower_the_loss(tmp_path):
    """At one temperature and weight of the KL, and over the same four batches, so that the loss means the same at both ends."""
    _, _, log = run(train_config(60, rate=1e-2, tau=constant(0.5), beta=constant(0.02)), tmp_path, num_batches=4)
    losses = [metrics["train/loss"] for _, metrics in log.points if "train/loss" in metrics]
    images = torch.cat([blobs(16, 1 + batch) for batch in range(4)])
    assert np.mean(losses[-8:]) < np.mean(losses[:8]) - 0.04
    assert np.mean(losses[-8:]) < -bound_without_codes(images, images) - 0.02


def test_a_warm_start_keeps_more_codes_in_use_and_says_more_of_the_images(tmp_path):
    _, cold, _ = run(train_config(60), tmp_path / "cold")
    _, warm, log = run(train_config(60, warm_updates=40), tmp_path / "warm")
    assert warm["valid/codebook_used"] > cold["valid/codebook_used"] + 0.2
    assert warm["valid/codebook_perplexity"] > 2 * cold["valid/codebook_perplexity"]
    assert warm["valid/psnr_db"] > cold["valid/psnr_db"] + 0.5
    seen = torch.cat([blobs(16, step + 1) for step in range(60)])
    assert warm["valid/elbo_true"] > bound_without_codes(blobs(24, 0), seen) + 0.03
    assert [step for step, _ in log.points] == [*range(60), 59]  # updates of the warm start are not the training's
    assert {f"valid/{name}" for name in ("psnr_db", "ssim", "elbo_relaxed", "elbo_true", "kl_nats_per_code")} < set(warm)


SHORT = train_config(12, warm_updates=8, validate_every=4)  # the warm start takes batches 12 to 19, k-means 0 and 1


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return run(SHORT, tmp_path_factory.mktemp("uninterrupted"))


@pytest.mark.parametrize(
    "cuts, data_workers",
    [
        pytest.param([7], 0, id="in the training"),
        pytest.param([12 + 5], 0, id="in the warm start"),
        pytest.param([12 + 3, 12 + 6, 1, 5, 10], 0, id="in the warm start, twice, in k-means, and in the training, twice"),
        pytest.param([12 + 3, 12 + 6, 1, 5, 10], 2, id="with workers"),
    ],
)
def test_resumed_equals_uninterrupted_bit_for_bit(cuts, data_workers, uninterrupted, tmp_path):
    whole, metrics, whole_log = uninterrupted
    options, asked = RunOptions(device="cpu", data_workers=data_workers, log_every=1, checkpoint_seconds=0), []
    resumed, resumed_metrics, log = run(SHORT, tmp_path, options=options, cuts=cuts, asked=asked)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert resumed_metrics == metrics
    assert log.points == whole_log.points
    if data_workers == 0:  # nothing was done twice, apart from k-means and the last update of the warm start
        assert all(asked.count(step) == 1 + (step in cuts) for step in range(2, 19))


def test_weights_depend_on_the_seed_and_not_on_the_global_generator(tmp_path):
    config = train_config(3, warm_updates=2)
    runs = []
    for index, seed in enumerate((1, 1, 2)):
        torch.manual_seed(index)
        runs.append(run(config, tmp_path / str(index), seed=seed)[0].decoder[0].weight)
        assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(index)))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_gumbel_noise_is_a_function_of_the_update(tmp_path, monkeypatch):
    drawn = []

    def recorded(code_logits, tau, generator):
        drawn.append((tau, generator.initial_seed()))
        return gumbel_softmax(code_logits, tau, generator)

    for module in (quantizers, validation):
        monkeypatch.setattr(module, "gumbel_softmax", recorded)
    run(train_config(6), tmp_path / "whole")
    whole, drawn = drawn, []
    assert len({seed for _, seed in whole}) == 6 * 2 + 1  # each update's two shards, and the validation
    options = RunOptions(device="cpu", data_workers=0, log_every=1, checkpoint_seconds=0)
    run(train_config(6), tmp_path / "cut", options=options, cuts=[4])
    assert sorted(drawn) == sorted(whole)
    run(train_config(6), tmp_path / "other", seed=2)
    assert {seed for _, seed in drawn[13:]}.isdisjoint(seed for _, seed in whole)


def test_schedules_are_those_of_the_update(tmp_path):
    config = train_config(6, tau=Schedule(shape="linear", start=1.0, end=0.5, updates=5, warmup_updates=0))
    _, _, log = run(config, tmp_path)
    points = [metrics for _, metrics in log.points if "train/loss" in metrics]
    assert [metrics["schedule/tau"] for metrics in points] == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6, 0.5])
    assert [metrics["schedule/beta"] for metrics in points] == [config.beta.at(step) for step in range(6)]
    weight = 3 * 2**2  # subpixels a code
    for metrics in points:
        bound = metrics["train/nll"] + metrics["schedule/beta"] / weight * metrics["train/kl_nats_per_code"]
        assert metrics["train/loss"] == pytest.approx(bound, rel=1e-5)


def test_validation_measures_what_it_says():
    """On a dVAE so sure of its codes that the noise of the bounds changes none; 70 images make two batches, one shorter."""
    dvae, images = tiny_dvae(), blobs(70, 4)
    with torch.no_grad():
        dvae.encoder[-1].weight *= 1e4
        code_logits = dvae.code_logits(images)
        codes = code_logits.argmax(1)
        nll = logit_laplace_nll(dvae.likelihood_maps_of_codes(codes), map_pixels(images)).mean().item()
    metrics = validation_metrics(dvae, images, 0.5, 1, "cpu", "fp32", "logit_laplace")
    kl = kl_to_uniform(code_logits).mean().item()
    counts = np.bincount(codes.flatten().numpy(), minlength=12) / codes.numel()
    expected = {
        "valid/psnr_db": psnr_db(images, dvae.decode(codes)).mean().item(),
        "valid/ssim": ssim(images, dvae.decode(codes)).mean().item(),
        "valid/elbo_relaxed": -nll - kl * 16 / (3 * 256),
        "valid/elbo_true": -nll - kl * 16 / (3 * 256),
        "valid/elbo_gap": 0.0,
        "valid/kl_nats_per_code": kl,
        "valid/codebook_used": (counts > 0).mean(),
        "valid/codebook_perplexity": np.exp(-sum(share * np.log(share) for share in counts if share)),
    }
    assert metrics == pytest.approx(expected, rel=2e-3, abs=2e-3)


def test_the_bounds_meet_as_tau_vanishes():
    dvae, images = tiny_dvae(), blobs(40, 4)
    gaps = []
    for tau in (2.0, 0.1, 0.001):
        metrics = validation_metrics(dvae, images, tau, 1, "cpu", "fp32", "logit_laplace")
        gaps.append(abs(metrics["valid/elbo_relaxed"] - metrics["valid/elbo_true"]))
    assert gaps[0] > 10 * gaps[2] and gaps[2] < 1e-3


def test_pictures_show_originals_above_reconstructions(tmp_path):
    valid_images = blobs(5, 0)
    dvae, _, log = run(train_config(2), tmp_path, valid_images=valid_images)
    name, step, picture = log.images[-1]
    assert (name, step, picture.dtype, picture.shape) == ("reconstructions", 1, np.uint8, (32, 80, 3))
    rows = np.concatenate([valid_images, dvae.decode(dvae.encode(valid_images)).detach()]) * 255
    expected = rows.reshape(2, 5, 3, 16, 16).transpose(0, 3, 1, 4, 2).reshape(32, 80, 3)
    assert np.abs(picture - expected).max() <= 0.51


def test_no_images_to_validate_on_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no images to validate on"):
        run(train_config(1), tmp_path, valid_images=torch.zeros(0, 3, 16, 16))


@pytest.mark.parametrize("start, end", [(1.0, 0.0), (0.0, 1.0), (-1.0, 1.0)])
def test_a_temperature_that_reaches_zero_is_refused(start, end):
    with pytest.raises(ValueError, match="tau must stay above 0 .*, got"):
        train_config(1, tau=Schedule(shape="cosine", start=start, end=end, updates=5, warmup_updates=0))


def test_sizes_reach_the_networks():
    config = train_config(1)
    model = config.model(32)
    assert (model.image_size, model.grid_size, model.codebook_size, model.hidden_width) == (32, 16, 32, 16)
    with pytest.raises(ValueError, match="image_size 33 is not divisible by 2"):
        config.model(33)
