import numpy as np
import pytest
import torch
from torch import nn

from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import optimizer_of, to_device
from dalle.training.schedules import PlateauRule, Schedule
from toy_training import batch_at, linear, optim, options, run, squared_error, state_of, written_out


def assert_close(state, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(state[name].numpy(), value, atol=1e-5, err_msg=name)


def averages(trajectory, decay=0.6):
    """The moving average after each update of a written-out training."""
    shadow, shadows = trajectory[0], []
    for n, parameters in enumerate(trajectory[1:], start=1):
        d = min(decay, (1 + n) / (10 + n))
        shadow = {name: d * shadow[name] + (1 - d) * value for name, value in parameters.items()}
        shadows.append(shadow)
    return shadows


class Watched:
    """The squared error; keeps, of each update, the parameters it began with and the gradient of the update before."""

    def __init__(self):
        self.states, self.gradient_norms, self.training = {}, {}, set()

    def __call__(self, model, batch, step, shard):
        self.states[step] = state_of(model)
        self.training.add(model.training)
        if model.weight.grad is not None:
            self.gradient_norms[step - 1] = torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item()
        return squared_error(model, batch, step, shard)

    def assert_followed(self, trajectory):
        assert list(self.states) == list(range(len(trajectory) - 1))
        for step, state in self.states.items():
            assert_close(state, trajectory[step])


@pytest.mark.parametrize("shards", [1, 2, 4])
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_training_is_written_out_adamw(clip_norm, shards, tmp_path):
    """Step sizes, momenta, decay of the matrix alone, clipping, the mean over shards: all would show in the trajectory."""
    watched = Watched()
    run(tmp_path, optim=optim(10, clip_norm=clip_norm, shards=shards), loss_function=watched)
    trajectory, norms = written_out(10, clip_norm=clip_norm)
    assert max(norms) > 1
    watched.assert_followed(trajectory)


def test_no_updates_leave_the_model_as_it_was_and_validate_it(tmp_path):
    model, metrics, log = run(tmp_path, optim=optim(0), validate=lambda model, step: {"valid/loss": model.bias[0].item()})
    assert_close(state_of(model), {name: value.numpy() for name, value in linear().state_dict().items()})
    assert log.points == [(0, metrics)] and metrics == {"valid/loss": pytest.approx(linear().bias[0].item())}


def test_the_end_of_an_update_sees_moved_parameters_that_are_not_averaged_yet(tmp_path):
    """What it changes by other means is trained on, and averaged, like everything else."""
    model, biases = linear(), []

    def end_update(step):
        biases.append((step, model.bias.detach().clone()))
        with torch.no_grad():
            model.bias.fill_(step)

    run(tmp_path, model=model, optim=optim(3), end_update=end_update)
    assert [step for step, _ in biases] == [0, 1, 2]
    start = linear().bias
    assert not torch.equal(biases[0][1], start) and (biases[1][1] - 0).abs().max() < 0.2  # a step away from where it was put
    shadow = start.detach().numpy()
    for n, value in enumerate((0.0, 1.0, 2.0), start=1):
        decay = min(0.6, (1 + n) / (10 + n))
        shadow = decay * shadow + (1 - decay) * value
    np.testing.assert_allclose(model.bias.detach().numpy(), shadow, atol=1e-5)


@pytest.mark.parametrize("batch", [torch.arange(6), (torch.arange(6), [torch.arange(6) + 1]), {"numbers": torch.arange(6)}])
def test_every_shard_sees_its_part_of_the_batch_and_its_number(batch, tmp_path):
    seen = {}

    def loss_function(model, part, step, shard):
        seen[step, shard] = part
        return model.weight.sum() + model.bias.sum(), {"train/shard": shard}

    _, _, log = run(tmp_path, optim=optim(2, batch_size=6, shards=3), loss_function=loss_function, batch_at=lambda step: batch)
    assert set(seen) == {(step, shard) for step in range(2) for shard in range(3)}
    for (_, shard), part in seen.items():
        assert str(part) == str(map_tensors(lambda numbers, shard=shard: numbers[2 * shard : 2 * shard + 2], batch))
    assert log.points[0][1]["train/shard"] == 1.0


def map_tensors(function, batch):
    if isinstance(batch, dict):
        return {name: map_tensors(function, value) for name, value in batch.items()}
    return function(batch) if isinstance(batch, torch.Tensor) else type(batch)(map_tensors(function, part) for part in batch)


def test_an_error_in_a_shard_is_the_training_s(tmp_path):
    def loss_function(model, batch, step, shard):
        raise RuntimeError(f"shard {shard} is broken")

    with pytest.raises(RuntimeError, match="shard 0 is broken"):
        run(tmp_path, optim=optim(2, shards=2), loss_function=loss_function)


def test_weights_do_not_depend_on_the_number_of_threads(tmp_path):
    threads, weights = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            weights.append(run(tmp_path / str(number), optim=optim(5, shards=2))[0].weight)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*weights)


@pytest.mark.parametrize("shards", [1, 4])
def test_clipping_limits_the_gradient_and_reports_it_before(shards, tmp_path):
    watched = Watched()
    _, _, log = run(tmp_path, optim=optim(10, clip_norm=0.5, shards=shards), loss_function=watched)
    _, norms = written_out(10, clip_norm=0.5)
    assert [metrics["train/grad_norm"] for _, metrics in log.points[:10]] == pytest.approx(norms, rel=1e-4)
    assert watched.gradient_norms == pytest.approx({step: min(norm, 0.5) for step, norm in enumerate(norms[:9])}, rel=1e-4)
    _, _, log = run(tmp_path / "free", optim=optim(3))
    assert not any("train/grad_norm" in metrics for _, metrics in log.points)


def test_only_what_has_two_dimensions_is_decayed():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Embedding(5, 4), nn.Linear(4, 2))
    model[3].weight.requires_grad_(False)
    model[1].gain = nn.Parameter(torch.tensor(1.0))
    decayed, plain = optimizer_of(model, optim(weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    assert {tuple(p.shape) for p in decayed["params"]} == {(4, 3, 3, 3), (5, 4)}
    assert sorted(p.numel() for p in plain["params"]) == [1, 2, 4, 4, 4]


def test_a_model_without_matrices_or_without_gains_can_be_trained():
    assert len(optimizer_of(nn.Linear(2, 2, bias=False), optim()).param_groups) == 1
    assert len(optimizer_of(nn.LayerNorm(2), optim()).param_groups) == 1


def test_step_sizes_follow_the_schedule(tmp_path):
    rate = Schedule(shape="cosine", start=0.1, end=0.01, updates=6, warmup_updates=2)
    model, _, log = run(tmp_path, optim=optim(8, learning_rate=rate))
    assert [metrics["schedule/learning_rate"] for _, metrics in log.points[:8]] == [rate.at(step) for step in range(8)]


CONSTANT = Schedule(shape="constant", start=0.1, end=0.1, updates=10, warmup_updates=2)
EVERY_WINDOW = PlateauRule(window=2, threshold=0.9, halvings=2)  # no loss falls by nine tenths in two updates


def test_step_sizes_are_halved_on_plateaus_after_the_warm_up(tmp_path):
    _, _, log = run(tmp_path, optim=optim(10, learning_rate=CONSTANT, plateau=EVERY_WINDOW))
    rates = [metrics["schedule/learning_rate"] for _, metrics in log.points[:10]]
    assert rates == pytest.approx([0.05, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025])


def test_plateaus_are_those_of_the_whole_batch_s_loss_after_the_warm_up(tmp_path):
    """10, 8 in the warm-up, then 6, 4: lower by a third. The first shard's alone halves, and 10 -> 8 is a fifth."""

    def loss_function(model, batch, step, shard):
        return 0 * model(batch[0]).sum() + 8 - 2 * step + 4 * shard, {}

    for threshold, rate in ((0.3, 0.1), (0.35, 0.05)):
        rule = PlateauRule(window=1, threshold=threshold, halvings=1)
        settings = optim(5, learning_rate=CONSTANT, plateau=rule, shards=2)
        _, _, log = run(tmp_path / str(threshold), optim=settings, loss_function=loss_function)
        assert log.points[4][1]["schedule/learning_rate"] == rate


def test_metrics_are_means_since_the_last_report(tmp_path):
    _, _, log = run(tmp_path, options=options(log_every=4))
    reported = [(step, metrics["train/step"]) for step, metrics in log.points if metrics]
    assert reported == [(3, 1.5), (7, 5.5), (9, 8.5)]
    _, _, every = run(tmp_path)
    losses = [metrics["train/loss"] for _, metrics in every.points if metrics]
    assert log.points[1][1]["train/loss"] == pytest.approx(np.mean(losses[4:8]))


def test_validation_sees_averages_and_training_goes_on_from_the_trained(tmp_path):
    watched, validated = Watched(), []

    def validate(model, step):
        validated.append((step, model.training, state_of(model)))
        return {"valid/loss": float(step)}

    model, metrics, log = run(tmp_path, optim=optim(10, validate_every=3), loss_function=watched, validate=validate)
    trajectory, _ = written_out(10)
    watched.assert_followed(trajectory)
    assert [(step, training) for step, training, _ in validated] == [(2, False), (5, False), (8, False), (9, False)]
    for step, _, state in validated:
        assert_close(state, averages(trajectory)[step])
    assert watched.training == {True} and not model.training
    assert_close(model.state_dict(), averages(trajectory)[9])
    assert metrics == {"valid/loss": 9.0}
    assert [step for step, metrics in log.points if "valid/loss" in metrics] == [2, 5, 8, 9]


def test_the_last_validation_happens_once(tmp_path):
    steps = []
    run(tmp_path, optim=optim(6, validate_every=3), validate=lambda model, step: steps.append(step) or {})
    assert steps == [2, 5]


def test_a_validation_that_fails_leaves_the_trained_parameters(tmp_path):
    model = linear()

    def validate(model, step):
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        run(tmp_path, model=model, optim=optim(10, validate_every=4), validate=validate)
    assert_close(model.state_dict(), written_out(4)[0][4])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_training_before_it_is_saved(bad, tmp_path):
    def loss_function(model, batch, step, shard):
        loss, metrics = squared_error(model, batch, step, shard)
        return loss * (bad if step == 4 else 1), metrics

    with pytest.raises(FloatingPointError, match=f"the loss is {bad} at update 4: lower the step size"):
        run(tmp_path, loss_function=loss_function, options=options(checkpoint_seconds=0))
    saved = Checkpoint(tmp_path / "state.pt").load()
    assert saved["step"] == 4
    assert_close(saved["model"], written_out(4)[0][4])


class PowerCut(Exception):
    pass


@pytest.mark.parametrize("rates", [{}, {"learning_rate": CONSTANT, "plateau": EVERY_WINDOW}], ids=["cosine", "plateau"])
@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("cuts, data_workers", [([7], 0), ([1, 5, 8], 0), ([1, 5, 8], 2)])
def test_resumed_equals_uninterrupted_bit_for_bit(cuts, data_workers, shards, rates, tmp_path):
    """Cuts within a window of the plateau's rule, and after a halving."""
    settings = optim(10, clip_norm=0.5, validate_every=4, ema_every=2, shards=shards, **rates)
    parts = {"optim": settings, "validate": lambda model, step: {"valid/weight": float(model.weight.detach().sum())}}
    whole, metrics, whole_log = run(tmp_path / "whole", options=options(log_every=3), **parts)
    log, left, asked = MemoryLog(), list(cuts), []

    def interrupted(step):
        asked.append(step)
        if left and step == left[0]:
            raise PowerCut
        return batch_at(step)

    hurried = options(log_every=3, checkpoint_seconds=0, data_workers=data_workers)
    while left:
        with pytest.raises(PowerCut):
            run(tmp_path / "cut", log=log, options=hurried, batch_at=interrupted, **parts)
        left.pop(0)
    resumed, resumed_metrics, _ = run(tmp_path / "cut", log=log, options=hurried, batch_at=interrupted, **parts)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert (resumed_metrics, log.points) == (metrics, whole_log.points)
    if data_workers == 0:
        assert asked == sorted([*range(10), *cuts])  # no update was done twice


def test_updates_that_are_done_again_are_reported_once(tmp_path):
    """The log is ahead of the checkpoint when the second power cut comes."""
    log, whole_log = MemoryLog(), run(tmp_path / "whole")[2]
    for cut, seconds in ((3, 0), (7, 1e9)):
        with pytest.raises(PowerCut):
            run(tmp_path / "cut", log=log, options=options(checkpoint_seconds=seconds), batch_at=cut_at(cut))
    assert [step for step, _ in log.points] == list(range(7)) and Checkpoint(tmp_path / "cut" / "state.pt").load()["step"] == 3
    run(tmp_path / "cut", log=log)
    assert log.points == whole_log.points


def cut_at(cut):
    def interrupted(step):
        if step == cut:
            raise PowerCut
        return batch_at(step)

    return interrupted


def test_a_finished_training_runs_to_the_same_end_again(tmp_path):
    first, metrics, _ = run(tmp_path, options=options(checkpoint_seconds=0))
    asked = []
    again, again_metrics, _ = run(tmp_path, batch_at=lambda step: asked.append(step) or batch_at(step))
    assert asked == [9] and again_metrics == metrics
    assert torch.equal(first.weight, again.weight)


def test_reports_are_flushed_before_every_checkpoint_and_at_the_end(tmp_path, monkeypatch):
    events, log, save = [], MemoryLog(), Checkpoint.save
    monkeypatch.setattr(log, "flush", lambda: events.append("flush"))
    monkeypatch.setattr(Checkpoint, "save", lambda checkpoint, state: events.append(state["step"]) or save(checkpoint, state))
    run(tmp_path, log=log, optim=optim(4), options=options(checkpoint_seconds=0))
    assert events == ["flush", 1, "flush", 2, "flush", 3, "flush"]
    run(tmp_path / "slow", optim=optim(4))
    assert not (tmp_path / "slow").exists()  # the time for a checkpoint never came


@pytest.mark.parametrize("precision, expected", [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_precision_is_that_of_the_activations_alone(precision, expected, tmp_path):
    seen = set()

    def loss_function(model, batch, step, shard):
        outputs = model(batch[0])
        seen.add(outputs.dtype)
        return (outputs.float() - batch[1]).square().mean(), {}

    model, _, _ = run(tmp_path, optim=optim(2, precision=precision), loss_function=loss_function)
    assert seen == {expected} and model.weight.dtype == torch.float32


def test_every_tensor_of_a_nested_batch_moves():
    here = torch.zeros(2)
    moved = to_device({"pair": (here, [here, "caption"]), "number": 3}, "meta")
    assert moved["pair"][0].is_meta and moved["pair"][1][0].is_meta
    assert (moved["pair"][1][1], moved["number"], type(moved["pair"])) == ("caption", 3, tuple)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"updates": -1}, "updates must not be negative, got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"validate_every": 0}, "validate_every must be at least 1, got 0"),
        ({"shards": 0}, "shards must be at least 1, got 0"),
        ({"shards": 3}, "batch_size 8 cannot be split into 3 equal shards"),
        ({"betas": (0.9,)}, r"betas must be two numbers, got \[0.9\]"),
        ({"plateau": EVERY_WINDOW}, "learning_rate.shape is cosine: make that constant, or plateau null"),
    ],
)
def test_optimisers_of_nothing(change, message):
    with pytest.raises(ValueError, match=message):
        optim(**change)


@pytest.mark.parametrize("shards", [1, 2])
def test_memory_layout_changes_nothing(shards, tmp_path):
    """Fused AdamW reads gradients in memory order: with channels_last kernels they must not arrive in another one."""

    def trained(memory_format):
        torch.manual_seed(0)
        model = torch.nn.Conv2d(4, 6, 3).to(memory_format=memory_format)

        def loss_function(model, images, step, shard):
            return (model(images.contiguous(memory_format=memory_format)) - 1).square().mean(), {}

        def images_at(step):
            return torch.randn(8, 4, 7, 7, generator=torch.Generator().manual_seed(step))

        run(tmp_path / str(memory_format), model=model, optim=optim(6, shards=shards), loss_function=loss_function, batch_at=images_at)
        return model.weight.detach().contiguous()

    torch.testing.assert_close(trained(torch.channels_last), trained(torch.contiguous_format), rtol=1e-4, atol=1e-5)
