import numpy as np
import pytest
import torch

from dalle.generation.sampling import SampleConfig, draw_tokens, filtered, sample_candidates, uniforms
from dalle.prior.kinds import KINDS, build_prior, initialise_prior
from dalle.prior.masks import layer_masks
from dalle.prior.model import PriorConfig
from dalle.prior.pixelcnn import PixelCNNConfig, PixelCNNSizes

IDS = ["sunset", "owl", "17"]


def sample(prior, text, ids=IDS, *, num_candidates=5, batch_size=64, seed=3, temperature=1.0, top_k=None, top_p=None, **more):
    return sample_candidates(
        prior,
        text,
        ids,
        num_candidates=num_candidates,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        batch_size=batch_size,
        device="cpu",
        **{"precision": "fp32", **more},
    )


SHAPE = {"text_vocab_size": 11, "text_length": 5, "codebook_size": 13, "grid_size": 4, "layers": 5, "width": 16, "heads": 2}
CONFIGS = {
    "transformer": PriorConfig(**SHAPE, conv_kernel=3, masks=tuple(layer_masks(5))),
    "pixelcnn": PixelCNNConfig(**SHAPE, pixelcnn=PixelCNNSizes(layers=3, width=16, kernel=3)),
}


@pytest.fixture(scope="module", params=KINDS)
def prior(request):
    """4x4 tokens of 13, with weights large enough that every token drawn changes the next ones."""
    prior = build_prior(CONFIGS[request.param])
    initialise_prior(prior, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in prior.parameters():
            if parameter.ndim > 1 and parameter.std() < 0.05:  # a PixelCNN's convolutions are large enough
                parameter *= 10
    return prior.eval()


@pytest.fixture
def text():
    return torch.randint(16, (3, 5), generator=torch.Generator().manual_seed(0))


def some_prefix(num_given):
    return torch.randint(13, (3, num_given), generator=torch.Generator().manual_seed(1))


def draw(logits, uniform, temperature=1.0):
    return draw_tokens(logits, uniform, temperature=temperature, top_k=None, top_p=None)


@torch.no_grad()
def without_cache(prior, text, ids, num_candidates, seed, prefix=None):
    """The slow way: the whole model at every position, one candidate at a time."""
    drawn = np.zeros((len(ids), num_candidates, prior.config.num_positions), dtype=np.uint16)
    for c, name in enumerate(ids):
        for n in range(num_candidates):
            uniform = torch.from_numpy(uniforms(seed, [name], [n], prior.config.num_positions))
            tokens = torch.zeros(1, prior.config.num_positions, dtype=torch.int64)
            for position in range(prior.config.num_positions):
                if prefix is not None and position < prefix.shape[1]:
                    tokens[0, position] = prefix[c, position]
                else:
                    logits = prior(text[c : c + 1], tokens)[1][:, position]
                    tokens[0, position] = draw(logits, uniform[:, position])
            drawn[c, n] = tokens[0]
    return drawn


def test_sampling_with_a_cache_equals_the_whole_model_at_every_step(prior, text):
    np.testing.assert_array_equal(sample(prior, text), without_cache(prior, text, IDS, 5, seed=3))


@pytest.mark.parametrize("num_given", [0, 1, 6, 15, 16])
def test_completion_keeps_its_prefix_and_equals_the_whole_model_after_it(prior, text, num_given):
    prefix = some_prefix(num_given)
    completed = sample(prior, text, num_candidates=2, prefix=prefix)
    np.testing.assert_array_equal(completed, without_cache(prior, text, IDS, 2, seed=3, prefix=prefix))
    assert (completed[:, :, :num_given] == prefix[:, None].numpy()).all()


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
def test_batch_size_changes_nothing(prior, text, batch_size):
    np.testing.assert_array_equal(sample(prior, text, batch_size=batch_size), sample(prior, text, batch_size=15))


def test_a_candidate_depends_on_its_caption_id_its_number_and_the_seed_alone(prior, text):
    drawn = sample(prior, text)
    assert drawn.shape == (3, 5, 16) and drawn.dtype == np.uint16 and drawn.max() < prior.config.codebook_size
    np.testing.assert_array_equal(sample(prior, text.flip(0), IDS[::-1])[::-1], drawn)
    np.testing.assert_array_equal(sample(prior, text[1:2], IDS[1:2], num_candidates=3), drawn[1:2, :3])
    assert (sample(prior, text, seed=4) != drawn).any(-1).all()
    assert len(np.unique(drawn.reshape(-1, 16), axis=0)) == 15
    assert (sample(prior, text[[0, 0]], ["a", "b"])[0] != sample(prior, text[[0, 0]], ["a", "b"])[1]).any(-1).all()


def test_bf16_draws_the_same_twice(prior, text):
    np.testing.assert_array_equal(sample(prior, text, precision="bf16"), sample(prior, text, precision="bf16"))


def test_what_was_drawn_before_a_kill_is_not_drawn_again(prior, text, tmp_path, monkeypatch):
    expected, prefill, asked = sample(prior, text), prior.prefill, []

    def counting(tokens):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(tokens.tolist())
        return prefill(tokens)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        monkeypatch.setattr(prior, "prefill", counting)
        with pytest.raises(KeyboardInterrupt):
            sample(prior, text, batch_size=5, work_folder=tmp_path)
        (tmp_path / ".captions-2-3.npy").write_bytes(b"half a file")  # as a killed process leaves it
        asked.clear()
        np.testing.assert_array_equal(sample(prior, text, batch_size=5, work_folder=tmp_path), expected)
        assert asked == [text[2:].tolist()]
    finally:
        torch.set_num_threads(threads)


def test_top_k_of_one_is_the_likeliest_token_at_every_step(prior, text):
    greedy = sample(prior, text, num_candidates=2, top_k=1)
    with torch.no_grad():
        tokens = torch.from_numpy(greedy[:, 0].astype(np.int64))
        np.testing.assert_array_equal(prior(text, tokens)[1].argmax(-1), greedy[:, 0])
    np.testing.assert_array_equal(greedy[:, 0], greedy[:, 1])


def test_drawn_frequencies_are_the_probabilities():
    logits = torch.tensor([[0.5, -1.0, 2.0, float("-inf"), 0.0]])
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    for temperature in (1.0, 0.4):
        tokens = draw(logits.expand(100_000, -1), uniform, temperature)
        expected = (logits[0].double() / temperature).softmax(-1)
        np.testing.assert_allclose(tokens.bincount(minlength=5) / 100_000, expected, atol=2e-5)


def test_ends_of_the_unit_interval_never_draw_an_impossible_token():
    logits = torch.tensor([[float("-inf"), 1.0, 2.0, float("-inf")]])
    ends = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert draw(logits.expand(2, -1), ends).tolist() == [1, 2]


@pytest.mark.parametrize("top_k", [1, 3, 10, 50])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 1.0])
def test_filters_against_sorting_by_hand(top_k, top_p):
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0))
    kept = torch.isfinite(filtered(logits, top_k, top_p))
    for row, kept_row in zip(logits.tolist(), kept, strict=True):
        likeliest = sorted(range(10), key=lambda token: -row[token])[:top_k]
        masses = np.exp([row[token] for token in likeliest])
        masses /= masses.sum()
        expected = {token for i, token in enumerate(likeliest) if masses[:i].sum() < top_p}
        assert set(kept_row.nonzero().flatten().tolist()) == expected


def test_the_caller_s_tensors_are_left_alone(prior, text):
    prefix = some_prefix(4)
    before = text.clone(), prefix.clone()
    sample(prior, text, prefix=prefix)
    assert torch.equal(text, before[0]) and torch.equal(prefix, before[1])


def test_what_cannot_be_sampled_is_named(prior, text):
    with pytest.raises(ValueError, match="3 rows of text tokens for 2 caption ids"):
        sample(prior, text, IDS[:2])
    with pytest.raises(ValueError, match="caption ids repeat"):
        sample(prior, text, ["a", "b", "a"])
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        sample(prior, text, temperature=0.0)
    with pytest.raises(ValueError, match="prefix holds an image token outside the codebook, 0 to 12"):
        sample(prior, text, prefix=torch.full((3, 2), 13))
    with pytest.raises(ValueError, match="prefix has shape"):
        sample(prior, text, prefix=torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"prefix has shape \(3, 17\), expected \(captions, image tokens\) = \(3, '0 to 16'\)"):
        sample(prior, text, prefix=torch.zeros(3, 17, dtype=torch.int64))
    with pytest.raises(ValueError, match="num_candidates and batch_size must be at least 1, got 0 and 64"):
        sample(prior, text, num_candidates=0)
    with pytest.raises(ValueError, match="num_candidates and batch_size must be at least 1, got 5 and 0"):
        sample(prior, text, batch_size=0)
    with pytest.raises(ValueError, match="text tokens have shape"):
        sample(prior, torch.zeros(3, 6, dtype=torch.int64))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"candidates": 0}, "candidates must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"temperature": -1.0}, "temperature must be above 0"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_p": 1.5}, "top_p must be in"),
    ],
)
def test_configs_that_draw_nothing(change, message):
    values = {"candidates": 4, "temperature": 1.0, "top_k": None, "top_p": None, "batch_size": 8, "precision": "fp32"}
    values["long_captions"] = "truncate"
    SampleConfig(**values)
    with pytest.raises(ValueError, match=message):
        SampleConfig(**{**values, **change})
