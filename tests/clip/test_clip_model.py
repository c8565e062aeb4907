from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity

from dalle.clip.model import ClipConfig, build_clip, clip_text_tokens, encode_images, encode_text, load_clip
from dalle.training.model_folder import save_model
from tiny_towers import RESNET, TRANSFORMER


def test_text_tokens_are_ids_plus_one_then_the_end_then_padding(tokenizer):
    short, long = clip_text_tokens(tokenizer, ["red above blue", "red above blue " * 20], 24)
    ids = tokenizer.encode("red above blue")
    assert short.tolist() == [token + 1 for token in ids] + [tokenizer.vocab_size + 1] + [0] * (23 - len(ids))
    assert long.tolist()[:-1] == [token + 1 for token in tokenizer.encode("red above blue " * 20)[:23]]
    assert long[-1] == tokenizer.vocab_size + 1


def test_the_sentence_is_read_at_its_end_so_padding_does_not_matter(clip, tokenizer):
    tokens = clip_text_tokens(tokenizer, ["red above blue"], 24)
    other_padding = torch.where(tokens == 0, 5, tokens)
    with torch.no_grad():
        torch.testing.assert_close(encode_text(clip, tokens), encode_text(clip, other_padding))
        other_words = clip_text_tokens(tokenizer, ["blue above red"], 24)
        assert not torch.allclose(encode_text(clip, tokens), encode_text(clip, other_words))


def test_embeddings_are_open_clips_normalised(clip, tokenizer):
    images, tokens = torch.rand(3, 3, 32, 32), clip_text_tokens(tokenizer, ["red above blue"], 24)
    with torch.no_grad():
        torch.testing.assert_close(encode_images(clip, images), clip.encode_image((images - 0.5) / 0.5, normalize=True))
        torch.testing.assert_close(encode_text(clip, tokens), clip.encode_text(tokens, normalize=True))


def test_training_without_fused_attention_has_the_same_gradients(clip, tokenizer):
    images, tokens = torch.rand(4, 3, 32, 32), clip_text_tokens(tokenizer, ["red above blue"] * 4, 24)

    def gradients(image_embeddings, text_embeddings):
        clip.zero_grad()
        cosine_similarity(image_embeddings, text_embeddings).sum().backward()
        return [p.grad.clone() for p in clip.parameters() if p.grad is not None]

    ours = gradients(encode_images(clip, images), encode_text(clip, tokens))
    fused = gradients(clip.encode_image(images * 2 - 1, normalize=True), clip.encode_text(tokens, normalize=True))
    torch.testing.assert_close(ours, fused, rtol=1e-3, atol=1e-5)


def test_other_picture_sizes_are_brought_to_the_models(clip):
    flat = torch.full((1, 3, 64, 64), 0.3)
    with torch.no_grad():
        torch.testing.assert_close(encode_images(clip, flat), encode_images(clip, flat[..., :32, :32]))


def test_comes_back_from_its_folder(clip, tmp_path):
    save_model(clip, clip.config, tmp_path)
    loaded = load_clip(tmp_path)
    assert loaded.config == clip.config
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(encode_images(loaded, images), encode_images(clip, images))


@pytest.mark.parametrize(
    ("towers", "changes", "message"),
    [
        (TRANSFORMER, {"vision_layers": (1, 1)}, r"vision_layers must be one number \(transformer\) or four \(ResNet\)"),
        (TRANSFORMER, {"patch_size": None}, "patch_size goes with a transformer only"),
        (RESNET, {"patch_size": 8}, "patch_size goes with a transformer only"),
        (TRANSFORMER, {"vision_heads": 3}, r"vision_heads \(3\) must divide"),
        (TRANSFORMER, {"text_heads": 0}, r"text_heads \(0\) must divide"),
        (TRANSFORMER, {"text_length": 1}, "text_length must be at least 2"),
    ],
)
def test_towers_name_the_broken_rule(towers, changes, message):
    with pytest.raises(ValueError, match=message):
        replace(towers, **changes)


@pytest.mark.parametrize(("towers", "size"), [(TRANSFORMER, 40), (RESNET, 48)])
def test_picture_sizes_must_divide(towers, size):
    with pytest.raises(ValueError, match=rf"image_size \({size}\) must be a multiple of"):
        build_clip(ClipConfig(image_size=size, text_vocab_size=10, towers=towers))
