"""Photon noise against its laws, and the fast Poisson against scipy's quantiles."""

import numpy as np
import pytest
from scipy import stats

from degradations.noise import field
from degradations.photon_noise import PoissonNoise, ShotNoise, count_levels, poisson_noise
from degradations.registry import Frame

GRADIENT = np.tile(np.linspace(0.2, 0.8, 256, dtype=np.float32)[None, :, None], (256, 1, 3))


def _poisson(image: np.ndarray, scale: float = 1.0, gray: bool = False, min_levels: int = 1) -> np.ndarray:
    params = {"scale": scale, "gray": gray, "min_levels": min_levels, "seed": 7}
    return PoissonNoise.apply(params, image)


@pytest.mark.parametrize("mean", [1, 4, 9, 11, 14, 40, 128, 256])
def test_photon_counts_follow_the_poisson_distribution(mean):
    levels = 256
    value = round(mean * 255 / levels)
    expected = value * levels / 255
    image = np.full((400, 500, 1), value, np.uint8)
    counts = np.rint(poisson_noise(image, levels, field(3)) * levels + expected).astype(int).ravel()
    assert counts.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / counts.size) + 1e-9)
    assert counts.var() == pytest.approx(expected, rel=0.02)
    low, high = stats.poisson.ppf([0.001, 0.999], expected)
    edges = np.arange(low, high + 1)
    observed = np.searchsorted(np.sort(counts), edges, side="right") / counts.size
    assert np.abs(observed - stats.poisson.cdf(edges, expected)).max() < 0.005


def test_the_expansion_takes_the_exact_quantile_of_its_normal_deviate_nearly_always():
    levels, shape = 256, (300, 300, 1)
    for value in (12, 30, 100, 250):
        z = field(5).standard_normal(shape, np.float32)
        mean = value * levels / 255
        counts = np.rint(poisson_noise(np.full(shape, value, np.uint8), levels, field(5)) * levels + mean)
        off = np.abs(counts - stats.poisson.ppf(stats.norm.cdf(z.astype(np.float64)), mean))
        assert off.max() <= 1
        assert (off > 0).mean() < 0.005


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_poisson_noise_has_the_variance_of_the_law(scale):
    noise = _poisson(GRADIENT, scale) - GRADIENT
    levels = 256  # 153 distinct values
    for column in (40, 128, 215):
        expected = scale * np.sqrt(GRADIENT[0, column, 0] / levels)
        assert noise[:, column - 8 : column + 8].std() == pytest.approx(expected, rel=0.03)


def test_gray_poisson_noise_is_the_same_in_all_channels():
    image = GRADIENT * np.array([1.0, 0.7, 0.9], np.float32)
    noise = _poisson(image, 0.3, gray=True) - image
    np.testing.assert_allclose(noise[:, :, 0], noise[:, :, 1], atol=1e-6)
    assert noise.std() > 0.01


def test_levels_are_the_distinct_values_rounded_up_to_a_power_of_two():
    for distinct in (1, 2, 3, 4, 5, 100, 128, 129, 256):
        image = np.resize(np.arange(distinct, dtype=np.uint8), (16, 33, 3))
        assert count_levels(image) == 2 ** int(np.ceil(np.log2(distinct)))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_image_is_not_drowned_where_the_fewest_levels_are_set(value):
    flat = np.full((64, 64, 3), value, np.float32)
    assert _poisson(flat, min_levels=1).std() == pytest.approx({0.0: 0, 0.5: 0.47, 1.0: 0.34}[value], abs=0.15)
    assert np.abs(_poisson(flat, min_levels=64) - flat).std() < 0.1


@pytest.mark.parametrize("photons", [100.0, 1234.5, 10_000.0])
def test_shot_noise_has_the_variance_of_a_photon_count(photons):
    for value in (51, 90, 128):
        image = np.full((200, 200, 3), value / 255, np.float32)
        noise = ShotNoise.apply({"photons": photons, "gray": False, "seed": 3}, image) - image
        assert noise.var() == pytest.approx(value / 255 / photons, rel=0.02)
        assert abs(noise.mean()) < 4 * np.sqrt(value / 255 / photons / noise.size)


def test_gray_shot_noise_is_that_of_the_luma():
    image = np.tile(np.array([0.6, 0.3, 0.4], np.float32), (200, 200, 1))
    noise = ShotNoise.apply({"photons": 400, "gray": True, "seed": 3}, image) - image
    np.testing.assert_allclose(noise[:, :, 0], noise[:, :, 1], atol=1e-6)
    assert noise.var() == pytest.approx((0.299 * 0.6 + 0.587 * 0.3 + 0.114 * 0.4) / 400, rel=0.03)


def test_photons_are_drawn_log_uniformly():
    step, rng = ShotNoise(photons=[100, 10_000], gray_prob=0.5), np.random.default_rng(0)
    drawn = [step.sample(rng, Frame((8, 8), (8, 8), (8, 8))) for _ in range(2000)]
    assert stats.kstest([np.log10(params["photons"]) for params in drawn], stats.uniform(2, 2).cdf).pvalue > 0.01
    assert np.mean([params["gray"] for params in drawn]) == pytest.approx(0.5, abs=0.04)
