"""Noise in torch against its laws."""

import numpy as np
import pytest
import torch
from scipy import stats

from degradations import photon_noise
from degradations.noise import GaussianNoise
from degradations.noise_fields import count_levels, count_noise
from degradations.photon_noise import PoissonNoise

GRADIENT = torch.linspace(0.2, 0.8, 256).expand(1, 3, 256, 256)  # 153 distinct 8-bit values: 256 levels


def _gaussian(*params: tuple[float, bool, int]) -> torch.Tensor:
    plans = [{"sigma_8bit": sigma, "gray": gray, "seed": seed} for sigma, gray, seed in params]
    return GaussianNoise.apply_batch(plans, torch.full((len(plans), 3, 256, 256), 0.5)) - 0.5


def _poisson(image: torch.Tensor, scale: float = 1.0, gray: bool = False, min_levels: int = 1) -> torch.Tensor:
    return PoissonNoise.apply_batch([{"scale": scale, "gray": gray, "min_levels": min_levels, "seed": 7}], image)


def test_gaussian_noise_is_white_and_normal_each_image_by_its_own_sigma():
    sigmas = (1, 12.5, 25)
    for field, sigma in zip(_gaussian(*[(sigma, False, 1) for sigma in sigmas]).numpy(), sigmas, strict=True):
        assert field.std() == pytest.approx(sigma / 255, rel=0.01)
        assert abs(field.mean()) < 4 * sigma / 255 / np.sqrt(field.size)
        assert abs((field[:, 1:] * field[:, :-1]).mean()) < 0.01 * field.var()
        assert abs((field[0] * field[1]).mean()) < 0.02 * field.var()
        assert stats.kstest(field[:, ::4, ::4].ravel() * 255 / sigma, "norm").pvalue > 0.01


def test_gray_noise_is_the_same_in_all_channels_and_another_in_every_image_of_a_batch():
    fields = _gaussian((20, True, 1), (20, True, 2), (20, False, 3))
    assert torch.equal(fields[0, 0], fields[0, 1])
    assert torch.equal(fields[1, 0], fields[1, 2])
    assert abs(np.corrcoef(fields[:, 0].flatten(1))[np.triu_indices(3, 1)]).max() < 0.02
    counts = PoissonNoise.apply_batch(
        [{"scale": 0.3, "gray": True, "min_levels": 64, "seed": seed} for seed in (1, 2)],
        GRADIENT.expand(2, -1, -1, -1),
    )
    assert abs(np.corrcoef((counts - GRADIENT)[:, 0].flatten(1))[0, 1]) < 0.02


@pytest.mark.parametrize("mean", [1, 4, 9, 11, 14, 40, 128, 256])
def test_photon_counts_follow_the_poisson_distribution(mean):
    levels = 256
    value = round(mean * 255 / levels)
    expected = value * levels / 255
    field = count_noise(torch.full((3, 300, 300), float(value)), levels, 3)
    counts = np.rint((field * levels + expected).numpy()).astype(int).ravel()
    assert counts.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / counts.size) + 1e-9)
    assert counts.var() == pytest.approx(expected, rel=0.02)
    low, high = stats.poisson.ppf([0.001, 0.999], expected)
    edges = np.arange(low, high + 1)
    observed = np.searchsorted(np.sort(counts), edges, side="right") / counts.size
    assert np.abs(observed - stats.poisson.cdf(edges, expected)).max() < 0.005


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_photon_noise_has_the_variance_of_the_law(scale):
    field = _poisson(GRADIENT, scale) - GRADIENT
    for column in (40, 128, 215):
        expected = scale * np.sqrt(float(GRADIENT[0, 0, 0, column]) / 256)
        assert float(field[..., column - 8 : column + 8].std()) == pytest.approx(expected, rel=0.03)


def test_gray_photon_noise_is_that_of_the_luma():
    image = GRADIENT * torch.tensor([1.0, 0.7, 0.9])[:, None, None]
    field = _poisson(image, 0.3, gray=True) - image
    torch.testing.assert_close(field[:, 0], field[:, 1], atol=1e-6, rtol=0)
    luma = 0.299 * image[0, 0, 0, 128] + 0.587 * image[0, 1, 0, 128] + 0.114 * image[0, 2, 0, 128]
    levels = photon_noise.count_levels(
        np.rint(np.linspace(0.2, 0.8, 256) * (0.299 + 0.587 * 0.7 + 0.114 * 0.9) * 255).astype(np.uint8)[None]
    )
    assert float(field[..., 120:136].std()) == pytest.approx(0.3 * np.sqrt(float(luma) / levels), rel=0.03)


def test_levels_are_counted_as_by_numpy():
    for distinct in (1, 2, 3, 4, 5, 100, 128, 129, 256):
        values = np.random.default_rng(distinct).permutation(256)[:distinct].astype(np.uint8)
        image = np.resize(values, (16, 33, 3))
        assert count_levels(torch.from_numpy(image).float()) == photon_noise.count_levels(image)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_image_is_not_drowned_where_the_fewest_levels_are_set(value):
    flat = torch.full((1, 3, 64, 64), value)
    assert float(_poisson(flat, min_levels=1).std()) == pytest.approx({0.0: 0, 0.5: 0.47, 1.0: 0.34}[value], abs=0.15)
    assert float((_poisson(flat, min_levels=64) - flat).std()) < 0.1
