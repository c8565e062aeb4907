"""Every quantizer and likelihood behind the one interface, on pictures of the miniature world, and where a training starts."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from dalle.dvae.model import DVAE, load_dvae
from dalle.dvae.quantizers import VectorQuantizer
from dalle.dvae.train import train_dvae
from dalle.dvae.validation import validation_metrics
from dalle.miniworld.pictures import render_scene
from dalle.miniworld.scenes import draw_scene
from dalle.randomness import numpy_generator
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import RunOptions
from dalle.training.model_folder import save_model
from tiny_dvaes import blobs, constant, train_config

OPTIONS = RunOptions(device="cpu", data_workers=0, log_every=1, checkpoint_seconds=1e9)
QUANTIZERS = ["gumbel", "gumbel_straight_through", "vq"]


@pytest.fixture(scope="module")
def world():
    """Scenes of the miniature world, (256, 3, 16, 16) in [0, 1]."""
    rngs = [numpy_generator("quantizers", index) for index in range(256)]
    pictures = [np.asarray(render_scene(draw_scene(rng, heldout=False), rng, (64, 64)).resize((16, 16))) for rng in rngs]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def run(folder, config, images, *, batch_at=None):
    log = MemoryLog()
    batch_at = batch_at or (lambda step: images[16 * (step % 14) :][:16])
    checkpoint = Checkpoint(folder / "state.pt")
    dvae, metrics = train_dvae(batch_at, images[-32:], config, seed=1, options=OPTIONS, checkpoint=checkpoint, log=log)
    return dvae, metrics, log


def losses(log):
    return [metrics["train/loss"] for _, metrics in log.points if "train/loss" in metrics]


@pytest.mark.parametrize("likelihood", ["logit_laplace", "mse"])
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_two_hundred_updates_on_the_miniature_world_lower_the_loss(quantizer, likelihood, world, tmp_path):
    """At one temperature and weight of the KL, so that the loss means the same at both ends; the codes tell images apart."""
    config = train_config(
        200, quantizer=quantizer, likelihood=likelihood, warm_updates=30, beta=constant(0.05), tau=constant(0.25)
    )
    dvae, metrics, log = run(tmp_path, config, world)
    course = losses(log)
    assert len(course) == 200 and np.mean(course[-20:]) < np.mean(course[:20]) - 0.1
    valid = world[-32:]
    with torch.no_grad():
        own = (dvae.decode(dvae.encode(valid)) - valid).square().mean()
        others = (dvae.decode(dvae.encode(valid)).roll(1, 0) - valid).square().mean()
    assert own < 0.7 * others
    assert metrics["valid/elbo_gap"] == pytest.approx(metrics["valid/elbo_relaxed"] - metrics["valid/elbo_true"])
    if quantizer == "vq":  # a point mass: nothing to relax, and a KL of ln K
        assert abs(metrics["valid/elbo_gap"]) < 2e-3
        assert metrics["valid/kl_nats_per_code"] == pytest.approx(np.log(32), abs=0.02)
        assert metrics["valid/codebook_used"] > 0.9


def test_codes_that_a_vq_training_chose_in_bf16_are_those_of_the_dvae_it_hands_on(world, tmp_path, monkeypatch):
    """Trained on vectors rounded to bf16, nearly every hundredth code would be another one."""
    config = train_config(3, quantizer="vq", warm_updates=4)
    config = dataclasses.replace(config, optim=dataclasses.replace(config.optim, precision="bf16"))
    modules = []
    monkeypatch.setattr(VectorQuantizer, "end_update", lambda self, step: modules.append(self.module))
    run(tmp_path, config, world)
    module, dvae = modules[-1], DVAE(config.model(16))
    dvae.encoder[:-1].load_state_dict(module.autoencoder.encoder.state_dict())
    module.hand_over(dvae)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        module(world, 0)
        assert torch.equal(module.seen[0][1], dvae.encode(world).flatten())


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_all_end_as_the_same_kind_of_dvae(quantizer, world, tmp_path):
    dvae, _, _ = run(tmp_path, train_config(4, quantizer=quantizer), world)
    save_model(dvae, dvae.config, tmp_path / "dvae")
    loaded = load_dvae(tmp_path / "dvae")
    with torch.no_grad():
        codes = dvae.eval().encode(world[:4])
        assert torch.equal(loaded.encode(world[:4]), codes)
        assert torch.equal(loaded.decode(codes), dvae.decode(codes))
    names = {name: tuple(value.shape) for name, value in loaded.state_dict().items()}
    assert names == {name: tuple(value.shape) for name, value in dvae.state_dict().items()}
    assert loaded.config == train_config(4).model(16)


class PowerCut(Exception):
    pass


@pytest.mark.parametrize("decay", [0.9, None])
def test_a_vq_training_that_was_cut_ends_with_the_same_weights(decay, world, tmp_path):
    config = train_config(9, quantizer="vq", warm_updates=4)
    config = dataclasses.replace(config, vq=dataclasses.replace(config.vq, codebook_decay=decay, restart_below=0.5))
    whole, metrics, log = run(tmp_path / "whole", config, world)
    options, cuts, cut_log = dataclasses.replace(OPTIONS, checkpoint_seconds=0), [11, 5, 7], MemoryLog()

    def batch_at(step):
        if cuts and step == cuts[0]:
            cuts.pop(0)
            raise PowerCut
        return world[16 * (step % 14) :][:16]

    while cuts:
        with pytest.raises(PowerCut):
            train_dvae(
                batch_at, world[-32:], config, seed=1, options=options, checkpoint=Checkpoint(tmp_path / "cut.pt"), log=cut_log
            )
    resumed, resumed_metrics = train_dvae(
        batch_at, world[-32:], config, seed=1, options=options, checkpoint=Checkpoint(tmp_path / "cut.pt"), log=cut_log
    )
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True))
    assert resumed_metrics == metrics and cut_log.points == log.points


def test_the_clock_runs_beta_tau_and_the_step_size_and_nothing_else(world, tmp_path):
    slow = train_config(8)  # beta over 15 updates, tau over 40, the step size over 60 with a warm-up of 5
    _, _, log = run(tmp_path, dataclasses.replace(slow, schedule_clock=5.0), world)
    steps = [(step, metrics) for step, metrics in log.points if "train/loss" in metrics]
    assert len(steps) == 8
    for step, metrics in steps:
        assert metrics["schedule/beta"] == pytest.approx(slow.beta.at(5 * step))
        assert metrics["schedule/tau"] == pytest.approx(slow.tau.at(5 * step))
    rates = [metrics["schedule/learning_rate"] for _, metrics in steps]
    assert rates[0] == slow.optim.learning_rate.start and rates == sorted(rates, reverse=True)


def start_of(folder):
    return {"init": str(folder), "init_sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()}


@pytest.fixture
def finished(world, tmp_path):
    """(folder, dVAE): the model of another training, for pictures of another size."""
    dvae, _, _ = run(tmp_path / "first", train_config(2), blobs(64, 0, size=24))
    save_model(dvae, dvae.config, tmp_path / "finished")
    return tmp_path / "finished", dvae


def test_a_finished_dvae_is_taken_as_it_is_where_there_are_no_updates(finished, world, tmp_path):
    folder, dvae = finished
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    for quantizer in QUANTIZERS:
        config = train_config(0, init=str(folder), init_sha256=sha256.upper(), warm_updates=5, quantizer=quantizer)
        taken, metrics, log = run(tmp_path / quantizer, config, world)
        assert all(torch.equal(a, b) for a, b in zip(taken.parameters(), dvae.parameters(), strict=True))
        assert taken.config.image_size == 16 and log.points == [(0, metrics)] and metrics["valid/psnr_db"] > 0
        at_the_end = validation_metrics(taken, world[-32:], config.tau.end, 1, "cpu", "fp32", "logit_laplace")
        assert metrics["valid/elbo_relaxed"] == pytest.approx(at_the_end["valid/elbo_relaxed"])


def test_a_training_goes_on_from_a_finished_dvae(finished, world, tmp_path):
    dvae, start = finished[1], start_of(finished[0])
    _, _, log = run(tmp_path / "on", train_config(1, **start, rate=0.0, warm_updates=5), world)
    taken, _, _ = run(tmp_path / "again", train_config(1, **start, rate=0.0), world)
    assert all(torch.equal(a, b) for a, b in zip(taken.parameters(), dvae.parameters(), strict=True))
    assert len(losses(log)) == 1


def test_a_dvae_of_other_sizes_or_other_bytes_is_refused(finished, world, tmp_path):
    folder, _ = finished
    with pytest.raises(ValueError, match=r"train_dvae.init: the dVAE .* codebook_size 32, train_dvae.codebook_size is 64"):
        run(tmp_path / "sizes", train_config(1, **start_of(folder), codebook_size=64), world)
    with pytest.raises(ValueError, match=r"train_dvae.init_sha256: .*model.safetensors has the sha256 [0-9a-f]{64}, not abc"):
        run(tmp_path / "bytes", train_config(1, **{**start_of(folder), "init_sha256": "abc"}), world)
    with pytest.raises(ValueError, match="train_dvae.init: .*nowhere has no model.safetensors"):
        run(tmp_path / "missing", train_config(1, **{**start_of(folder), "init": str(tmp_path / "nowhere")}), world)


@pytest.mark.parametrize(
    "updates, change, message",
    [
        (0, {}, "optim.updates is 0 and init is scratch"),
        (1, {"init_sha256": "abc"}, "init is scratch"),
        (1, {"init": "folder"}, "init is 'folder', so init_sha256 must be"),
        (1, {"init": "folder", "init_sha256": "abc", "quantizer": "vq"}, "quantizer vq starts from scratch only"),
        (1, {"schedule_clock": 0.0}, "schedule_clock must be a number above 0, got 0.0"),
        (1, {"schedule_clock": float("nan")}, "schedule_clock must be a number above 0, got nan"),
    ],
)
def test_configs_of_no_training(updates, change, message):
    with pytest.raises(ValueError, match=message):
        train_config(updates, **change)


