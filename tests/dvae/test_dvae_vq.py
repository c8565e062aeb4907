import copy
import math

import numpy as np
import pytest
import torch

from dalle.dvae.likelihood import unmap_pixels
from dalle.dvae.vq import VectorQuantizedAutoencoder, VQConfig, nearest_codes
from dalle.dvae.warm_start import ContinuousAutoencoder
from dalle.training.averaging import ExponentialMovingAverage
from tiny_dvaes import blobs, tiny_dvae

SETTINGS = {"commitment": 0.25, "codebook_decay": 0.9, "restart_below": 0.0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def quantized_autoencoder(**changes):
    """(dVAE, module): 12 codes of 6 numbers, about as large as what the encoder gives."""
    dvae = tiny_dvae()
    torch.manual_seed(3)
    autoencoder = ContinuousAutoencoder(dvae, 0.0)
    with torch.no_grad():
        u = autoencoder.bottleneck_of(blobs(8, 5))
        codebook = u.std() * torch.randn(12, 6) + u.mean((0, 2, 3))
    return dvae, VectorQuantizedAutoencoder(autoencoder, codebook, VQConfig(**{**SETTINGS, **changes}))


def seen_by(module, images):
    """(vectors (N, D), nearest (N,)) by hand, in float64."""
    with torch.no_grad():
        u = module.autoencoder.bottleneck_of(images).double()
    vectors = u.permute(0, 2, 3, 1).reshape(-1, u.shape[1]).numpy()
    distances = ((vectors[:, None] - module.codebook.detach().double().numpy()[None]) ** 2).sum(2)
    return vectors, distances.argmin(1)


@pytest.mark.parametrize("autocast", [False, True])
def test_the_nearest_code_is_the_nearest(autocast):
    vectors, codebook = torch.randn(200, 5, generator=generator(1)), torch.randn(30, 5, generator=generator(2))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        nearest = nearest_codes(vectors, codebook)
    expected = ((vectors.double()[:, None] - codebook.double()[None]) ** 2).sum(2).argmin(1)
    assert torch.equal(nearest, expected)


def test_the_decoder_reads_the_nearest_codes_and_the_gradient_passes_them_by():
    _, module = quantized_autoencoder()
    images, kept = blobs(4, 0), {}
    vectors, nearest = seen_by(module, images)

    def keep(name, tensor):
        kept[name] = tensor
        tensor.retain_grad()

    module.autoencoder.decoder[0].register_forward_pre_hook(lambda _, inputs: keep("read", inputs[0]))
    module.autoencoder.bottleneck.register_forward_hook(lambda _, inputs, output: keep("u", output))
    maps, commitment, codebook_distance = module(images, 0)
    codes = module.codebook.detach().numpy()[nearest]
    read = kept["read"].detach().permute(0, 2, 3, 1).reshape(-1, 6).numpy()
    np.testing.assert_allclose(read, codes, atol=1e-5)
    expected = ((vectors - codes) ** 2).mean()
    assert commitment.item() == pytest.approx(expected, rel=1e-4) == codebook_distance.item()
    maps.square().mean().backward()
    torch.testing.assert_close(kept["u"].grad, kept["read"].grad)
    assert kept["read"].grad.abs().sum() > 0


def test_commitment_moves_the_encoder_alone_and_the_codebook_s_loss_the_codebook_alone():
    _, module = quantized_autoencoder(codebook_decay=None)
    _, commitment, codebook_distance = module(blobs(4, 0), 0)
    parameters = [module.codebook, module.autoencoder.bottleneck.weight]
    losses = commitment, codebook_distance
    pulls = [torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in losses]
    assert pulls[0][0] is None and pulls[0][1].abs().sum() > 0
    assert pulls[1][0].abs().sum() > 0 and pulls[1][1] is None


def test_the_codebook_follows_the_mean_of_what_chose_it_over_all_shards():
    """Equation (6) to (8) of the VQ-VAE paper's appendix, in numpy; counts there are shares of an even use here."""
    _, module = quantized_autoencoder()
    codebook, uses = module.codebook.detach().double().numpy().copy(), np.ones(12)
    sums = codebook.copy()
    for update in range(3):
        parts = []
        for shard in (1, 0):  # threads end in any order
            images = blobs(4, 10 * update + shard)
            parts.append(seen_by(module, images))
            module(images, shard)
        vectors, nearest = (np.concatenate([part[index] for part in parts]) for index in range(2))
        module.end_update(generator(update))
        even = len(vectors) / 12
        for code in range(12):
            chose = vectors[nearest == code]
            uses[code] = 0.9 * uses[code] + 0.1 * len(chose) / even
            sums[code] = 0.9 * sums[code] + 0.1 * chose.sum(0) / even
        codebook = sums / uses[:, None]
        np.testing.assert_allclose(module.codebook.detach().numpy(), codebook, rtol=1e-3, atol=1e-4)
        assert module.seen == {}


def test_the_order_in_which_shards_end_changes_nothing():
    results = []
    for order in ((0, 1), (1, 0)):
        _, module = quantized_autoencoder(restart_below=0.5)
        for shard in order:
            module(blobs(4, shard), shard)
        module.end_update(generator())
        results.append(module.codebook.detach())
    assert torch.equal(*results)


def test_a_code_that_nothing_chooses_starts_again_at_a_vector_of_the_batch_and_others_stay():
    _, module = quantized_autoencoder(codebook_decay=0.5, restart_below=0.3)
    with torch.no_grad():
        module.codebook[7] = 1e3
        module.sums[7] = 1e3
    still = copy.deepcopy(module)
    still.config = VQConfig(**{**SETTINGS, "codebook_decay": 0.5})
    images = blobs(8, 5)
    for update in range(2):  # 1 -> 0.5 -> 0.25 of an even use
        for one in (module, still):
            one(images, 0)
            vectors = one.seen[0][0]
            one.end_update(generator(update))
    assert (still.codebook[7] > 900).all()
    assert (module.codebook[7] == vectors).all(1).any() and module.uses[7] == 1
    assert torch.equal(module.sums[7], module.codebook[7])  # else the next mean would take it back to where it was
    alive = still.uses >= 0.3
    assert alive.any() and torch.equal(module.codebook[alive], still.codebook[alive])


def test_a_codebook_with_a_loss_of_its_own_is_moved_by_no_average():
    _, module = quantized_autoencoder(codebook_decay=None)
    before = module.codebook.detach().clone()
    module(blobs(4, 0), 0)
    module.end_update(generator())
    assert torch.equal(module.codebook, before) and module.codebook.requires_grad


def test_a_codebook_with_a_loss_of_its_own_restarts_by_a_slow_average_of_its_use():
    """One update without use is no death: the average forgets a hundredth of it an update."""
    _, module = quantized_autoencoder(codebook_decay=None, restart_below=0.95)
    with torch.no_grad():
        module.codebook[7] = 1e3
    for update in range(6):
        assert (module.codebook[7] > 900).all() and module.uses[7] == pytest.approx(0.99**update)
        module(blobs(8, 5), 0)
        module.end_update(generator(update))
    assert (module.codebook[7] < 900).all() and module.uses[7] == 1


@pytest.mark.parametrize("offset", [10, 100])
def test_digits_that_all_codes_share_cost_no_code(offset):
    """Squares of large numbers cancel in distances; so do logits that are taken from far away."""
    dvae, module = quantized_autoencoder()
    with torch.no_grad():
        shift = offset * module.codebook.std()
        module.codebook += shift
        module.autoencoder.bottleneck.bias += shift
    module.hand_over(dvae)
    images = blobs(32, 9)
    _, nearest = seen_by(module, images)
    with torch.no_grad():
        module(images, 0)
        assert (module.seen[0][1].numpy() == nearest).mean() > 0.999
        assert (dvae.encode(images).flatten().numpy() == nearest).mean() > 0.999


def test_codes_that_nothing_chose_do_not_soften_the_posterior():
    """A quarter of the codes is far away and dead: the scale of the logits is that of the codes in use."""
    dvae, module = quantized_autoencoder()
    with torch.no_grad():
        module.codebook[:3] *= 1000
        module.uses[:3] = 0
    module.hand_over(dvae)
    with torch.no_grad():
        q = torch.softmax(dvae.code_logits(blobs(6, 9)), 1)
    assert q.amax(1).mean() > 0.99


def test_what_is_handed_on_is_a_dvae_with_the_same_codes_and_pictures():
    """Nearest codes of the module and most probable codes of the dVAE; a posterior so sharp that its KL is ln K."""
    dvae, module = quantized_autoencoder()
    module.hand_over(dvae)
    images = blobs(6, 9)
    _, nearest = seen_by(module, images)
    with torch.no_grad():
        code_logits = dvae.code_logits(images)
        codes = dvae.encode(images)
        maps, _, _ = module(images, 0)
        expected = unmap_pixels(torch.sigmoid(maps[:, :3]))
        torch.testing.assert_close(dvae.decode(codes), expected, atol=1e-4, rtol=1e-4)
    assert (codes.flatten().numpy() == nearest).all()
    q = torch.softmax(code_logits, 1)
    assert float((math.log(12) + torch.xlogy(q, q).sum(1)).mean()) == pytest.approx(math.log(12), abs=0.02)


def test_codebook_and_its_averages_are_state():
    """A resumed training has them from its checkpoint, and averaged parameters average the codebook."""
    _, module = quantized_autoencoder()
    assert {"codebook", "uses", "sums"} <= set(module.state_dict())
    average = ExponentialMovingAverage(module, decay=0.5, every=1)
    assert "codebook" in average.shadow
    _, learnt = quantized_autoencoder(codebook_decay=None)
    assert not module.codebook.requires_grad and learnt.codebook.requires_grad


@pytest.mark.parametrize(
    "change, message",
    [
        ({"commitment": -1.0}, "commitment must not be negative, got -1.0"),
        ({"codebook_decay": 1.0}, r"codebook_decay must be in \[0, 1\) or null, got 1.0"),
        ({"restart_below": 1.0}, r"restart_below must be in \[0, 1\), got 1.0"),
    ],
)
def test_configs_of_no_quantizer(change, message):
    with pytest.raises(ValueError, match=message):
        VQConfig(**{**SETTINGS, **change})
