"""Training DF-GAN on two coloured pictures: what moves, what is resumed, what a picture depends on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dalle.baselines.adversarial import AdversarialConfig
from dalle.baselines.dfgan.sampling import generate, load_generator, truncated_noise
from dalle.baselines.dfgan.train import TrainDFGANConfig, train_dfgan
from dalle.data.manifest import BOX
from dalle.training.checkpoint import Checkpoint
from dalle.training.log import MemoryLog
from dalle.training.loop import RunOptions
from dalle.training.model_folder import save_model
from dalle.training.schedules import Schedule

OPTIONS = RunOptions(device="cpu", data_workers=1, log_every=10, checkpoint_seconds=1e9)
COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}
SENTENCES = {"red": [1.0, 0.0, 5.0], "blue": [0.0, 1.0, 5.0]}


def rate(start):
    return Schedule(shape="constant", start=start, end=start, updates=100, warmup_updates=0)


CONFIG = TrainDFGANConfig(
    width=4,
    noise_size=4,
    optim=AdversarialConfig(
        updates=100,
        batch_size=8,
        shards=2,
        generator_rate=rate(2e-3),
        discriminator_rate=rate(4e-3),
        betas=(0.0, 0.9),
        eps=1e-8,
        ema_decay=0.9,
        ema_every=1,
        precision="fp32",
        validate_every=50,
    ),
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("pictures"), []
    for number in range(16):
        colour = ("red", "blue")[number % 2]
        file = folder / f"{number}.png"
        Image.new("RGB", (16, 16), COLOURS[colour]).save(file)
        split = "valid" if number >= 12 else "train"
        rows.append({"pair_id": str(number), "image_id": str(number), "caption": colour, "file": str(file), "split": split})
    frame = pd.DataFrame(rows).assign(offset=0, **dict.fromkeys(BOX, 0))
    frame["num_bytes"] = [len(open(file, "rb").read()) for file in frame["file"]]
    return frame


def run(pairs, folder, *, options=OPTIONS, config=CONFIG, log=None):
    sentences = np.array([SENTENCES[caption] for caption in pairs["caption"]], np.float32)
    log = log or MemoryLog()
    checkpoint = Checkpoint(folder / "state.pt")
    generator, metrics = train_dfgan(
        pairs, sentences, config, image_size=16, seed=0, options=options, checkpoint=checkpoint, log=log
    )
    return generator, metrics, log


def weights(generator):
    return {name: value.clone() for name, value in generator.state_dict().items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    return run(pairs, tmp_path_factory.mktemp("trained"))


def test_a_hundred_updates_teach_which_colour_is_asked_for(trained):
    generator, metrics, log = trained
    asked = np.array([SENTENCES["red"]] * 8 + [SENTENCES["blue"]] * 8, np.float32)
    ids = [str(number) for number in range(16)]
    images = generate(generator, asked, ids, truncation=1.0, seed=1, batch_size=16, device="cpu").astype(float)
    redness = (images[..., 0] - images[..., 2]).mean(axis=(1, 2))
    assert redness[:8].min() > redness[8:].max()
    assert set(metrics) == {"valid/matching", "valid/mismatching", "valid/fake", "train_eval/matching"}
    assert metrics["valid/matching"] > metrics["valid/mismatching"]
    train = [point for _, point in log.points if "train/matching" in point]
    gap = [point["train/matching"] - point["train/mismatching"] for point in train]
    assert gap[-1] > gap[0] + 0.2  # the discriminator learns what belongs together


def test_a_killed_training_ends_with_the_same_weights(pairs, trained, tmp_path):
    class Killed(MemoryLog):
        def __call__(self, step, metrics):
            super().__call__(step, metrics)
            if step == 59:
                raise KeyboardInterrupt

    every_update = replace(OPTIONS, checkpoint_seconds=-1.0)
    with pytest.raises(KeyboardInterrupt):
        run(pairs, tmp_path, options=every_update, log=Killed())
    assert (tmp_path / "state.pt").is_file()
    generator, metrics, log = run(pairs, tmp_path)
    assert log.points[0][0] > 50  # it went on, and did not begin anew
    assert_equal(weights(generator), weights(trained[0]))
    assert metrics == trained[1]


def test_workers_and_reports_change_no_weight(pairs, trained, tmp_path):
    options = replace(OPTIONS, data_workers=0, log_every=7)
    assert_equal(weights(run(pairs, tmp_path, options=options)[0]), weights(trained[0]))


def test_a_picture_depends_on_its_caption_its_id_and_the_seed_alone(trained, tmp_path):
    generator = trained[0]
    save_model(generator, generator.config, tmp_path / "model")
    loaded = load_generator(tmp_path / "model")
    sentences, ids = np.array([SENTENCES["red"], SENTENCES["blue"]] * 3, np.float32), list("abcdef")
    shared = {"truncation": 0.88, "device": "cpu"}
    images = generate(generator, sentences, ids, seed=1, batch_size=6, **shared)
    turned = generate(loaded, sentences[::-1].copy(), ids[::-1], seed=1, batch_size=4, **shared)[::-1]
    # convolutions of another batch may round otherwise: by a grey level
    assert np.abs(images.astype(int) - turned).max() <= 1
    assert np.abs(images.astype(int) - generate(generator, sentences, ids, seed=2, batch_size=6, **shared)).max() > 1


def test_noise_is_cut_at_two_deviations():
    noise = np.concatenate([truncated_noise(1000, 0.88, 0, str(number)) for number in range(20)])
    assert noise.dtype == np.float32
    assert np.abs(noise).max() <= 2 * 0.88
    # of a normal cut at two deviations: 0.8796 of its own deviation
    assert noise.std() == pytest.approx(0.88 * 0.8796, rel=0.02)


def test_the_generator_begins_with_the_mean_colour_of_what_it_is_to_draw(pairs, tmp_path):
    still = replace(CONFIG, optim=replace(CONFIG.optim, generator_rate=rate(1e-12), updates=1))
    generator = run(pairs, tmp_path, config=still)[0]
    # red and blue in equal parts
    colour = (generator.last.bias.detach().tanh().numpy() + 1) * 127.5
    assert colour == pytest.approx([125, 30, 125], abs=0.5)


def test_too_few_pairs_of_a_split_are_named(pairs, tmp_path):
    with pytest.raises(ValueError, match="0 pairs of split 'valid'"):
        run(pairs[pairs["split"] == "train"].reset_index(drop=True), tmp_path)


def test_a_loss_that_is_no_number_stops_the_training(pairs, tmp_path):
    diverging = replace(CONFIG, optim=replace(CONFIG.optim, discriminator_rate=rate(1e12)))
    with pytest.raises(FloatingPointError, match="lower the step sizes"):
        run(pairs, tmp_path, config=diverging)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 7}, "7 cannot be split into 2"),
        ({"batch_size": 2}, "at least 2 pairs"),
        ({"updates": 0}, "updates must be at least 1"),
        ({"betas": (0.9,)}, "two numbers"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG.optim, **changes)
