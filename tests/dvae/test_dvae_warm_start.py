import numpy as np
import pytest
import torch

from dalle.dvae.likelihood import logit_laplace_nll, map_pixels
from dalle.dvae.warm_start import ContinuousAutoencoder, WarmStartConfig, first_codebook, kmeans, set_codebook
from tiny_dvaes import blobs, tiny_dvae

SETTINGS = {"updates": 10, "sharpness": 2.0, "bottleneck_noise": 0.1, "num_batches": 3, "kmeans_iterations": 10}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def squared_distances(points, centroids):
    return ((points[:, None].astype(np.float64) - centroids[None]) ** 2).sum(2)


def cells(maps):
    """(B, C, G, G) -> (B G G, C)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def batch_at(index):
    return blobs(8, 100 + index)


@pytest.fixture
def installed():
    """(dVAE, autoencoder, centroids, mean squared distance to them) after the codebook was set."""
    dvae = tiny_dvae()
    torch.manual_seed(1)
    autoencoder = ContinuousAutoencoder(dvae, 0.1)
    torch.nn.init.normal_(autoencoder.bottleneck.bias)
    with torch.no_grad():
        points = torch.cat([cells(autoencoder.bottleneck_of(batch_at(index))) for index in range(3)])
    config = WarmStartConfig(**SETTINGS)
    codebook, error = first_codebook(autoencoder, map(batch_at, range(config.num_batches)), 12, config, seed=7)
    set_codebook(dvae, autoencoder.bottleneck, codebook, config.sharpness / error)
    centroids = dvae.decoder[0].weight.detach()[:, :, 0, 0].t().numpy()
    return dvae, autoencoder, centroids, squared_distances(points.numpy(), centroids).min(1).mean()


@pytest.mark.parametrize("seed", range(4))
def test_separated_clusters_are_found(seed):
    """With several centroids a cluster: none lies between two clusters, and each is the mean of the points nearest to it."""
    rng = np.random.default_rng(seed)
    middles = 100 * rng.standard_normal((4, 3))
    points = (middles[:, None] + rng.standard_normal((4, 100, 3))).reshape(-1, 3).astype(np.float32)
    centroids, error = kmeans(torch.from_numpy(points), 32, 60, generator(seed))
    centroids = centroids.numpy()
    to_middles = np.sqrt(squared_distances(centroids, middles))
    assert to_middles.min(1).max() < 6 and set(to_middles.argmin(1)) == {0, 1, 2, 3}
    distances = squared_distances(points, centroids)
    means = [points[distances.argmin(1) == k].mean(0) for k in range(32)]
    np.testing.assert_allclose(centroids, means, atol=1e-2)
    assert error == pytest.approx(distances.min(1).mean(), rel=0.02) and error < 3  # 3: one centroid a cluster


@pytest.mark.parametrize("seed", range(4))
def test_empty_clusters_start_again_until_every_point_has_its_own(seed):
    values = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 5.0], [9.0, 9.0], [-7.0, 1.0]])
    centroids, error = kmeans(values.repeat(20, 1), 5, 60, generator(seed))
    assert error == pytest.approx(0, abs=1e-5)
    assert sorted(centroids.round().tolist()) == sorted(values.tolist())


def test_more_iterations_never_raise_the_error():
    points = torch.randn(300, 4, generator=generator())
    errors = [kmeans(points, 6, iterations, generator(1))[1] for iterations in range(1, 12)]
    assert all(later <= earlier + 1e-6 for earlier, later in zip(errors[:-1], errors[1:], strict=True))
    assert errors[-1] < errors[0]


def test_logits_are_squared_distances_to_the_centroids(installed):
    """-s/2 |u - c_k|^2 with s = sharpness / mean error, up to one constant a cell: compared as differences to code 0."""
    dvae, autoencoder, centroids, error = installed
    images = blobs(4, 55)
    with torch.no_grad():
        u = cells(autoencoder.bottleneck_of(images)).numpy()
        code_logits = cells(dvae.code_logits(images)).double().numpy()
    expected = -2.0 / error / 2 * squared_distances(u, centroids)
    np.testing.assert_allclose(code_logits - code_logits[:, :1], expected - expected[:, :1], rtol=1e-3, atol=1e-2)
    chosen = dvae.encode(images).flatten().numpy()
    assert (chosen == expected.argmax(1)).mean() > 0.99 and len(set(chosen)) > 3


def test_a_code_is_decoded_from_its_centroid(installed):
    dvae, autoencoder, centroids, _ = installed
    codes = torch.arange(12).repeat(3)[:32].view(2, 4, 4)
    at_centroids = torch.from_numpy(centroids)[codes].permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = autoencoder.decoder(at_centroids)
        torch.testing.assert_close(dvae.likelihood_maps_of_codes(codes), expected, atol=1e-4, rtol=1e-4)


def test_the_autoencoder_trains_the_dvae_s_own_networks_and_its_noise_is_drawn_from_the_generator():
    dvae = tiny_dvae()
    autoencoder = ContinuousAutoencoder(dvae, 0.5)
    images = blobs(4, 0)
    autoencoder.loss(images, generator(), "logit_laplace").backward()
    shared = [*dvae.encoder[:-1].parameters(), *dvae.decoder[1:].parameters()]
    assert all(parameter.grad.abs().sum() > 0 for parameter in shared)
    assert all(parameter.grad is None for parameter in [*dvae.encoder[-1].parameters(), *dvae.decoder[0].parameters()])
    with torch.no_grad():
        losses = [autoencoder.loss(images, generator(seed), "logit_laplace").item() for seed in (0, 0, 1)]
        assert losses[0] == losses[1] != losses[2]
        autoencoder.noise = 0.0
        maps = autoencoder.decoder(autoencoder.bottleneck_of(images))
        expected = logit_laplace_nll(maps, map_pixels(images)).mean()
        assert autoencoder.loss(images, generator(), "logit_laplace").item() == pytest.approx(expected.item(), rel=1e-5)


def test_too_few_cells_for_the_codebook_are_refused():
    dvae = tiny_dvae(codebook_size=200)
    with pytest.raises(ValueError, match="num_batches: 128 grid cells cannot make 200 codes; take more batches"):
        config = WarmStartConfig(**{**SETTINGS, "num_batches": 1})
        first_codebook(ContinuousAutoencoder(dvae, 0.1), [batch_at(0)], 200, config, 0)


def test_images_that_are_all_alike_are_refused():
    """Their k-means leaves no error, or a negative one by rounding: logits would be infinite, or prefer the farthest code."""
    dvae, image = tiny_dvae(codebook_size=64), blobs(1, 0)
    with pytest.raises(ValueError, match="fewer different patches than the 64 codes; lower codebook_size"):
        autoencoder = ContinuousAutoencoder(dvae, 0.1)
        first_codebook(autoencoder, [image.expand(8, -1, -1, -1)] * 3, 64, WarmStartConfig(**SETTINGS), 0)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"updates": -1}, "updates must not be negative, got -1"),
        ({"bottleneck_noise": -0.1}, "bottleneck_noise must not be negative"),
        ({"sharpness": 0.0}, "sharpness must be above 0, got 0.0"),
        ({"num_batches": 0}, "num_batches must be above 0"),
        ({"kmeans_iterations": 0}, "kmeans_iterations must be above 0"),
    ],
)
def test_configs_of_no_warm_start(change, message):
    with pytest.raises(ValueError, match=message):
        WarmStartConfig(**{**SETTINGS, **change})
