"""Noise against its laws."""

import numpy as np
import pytest
import torch
from scipy import linalg, stats

from degradations import RecipeError
from degradations.blur import SincBlur
from degradations.noise import GaussianNoise, SpeckleNoise
from degradations.registry import Frame, Step, build_node

GRADIENT = np.tile(np.linspace(0.2, 0.8, 256, dtype=np.float32)[None, :, None], (256, 1, 3))


def _gaussian(sigma: float, gray: bool, seed: int = 1) -> np.ndarray:
    image = np.full((256, 256, 3), 0.5, np.float32)
    return GaussianNoise.apply({"sigma_8bit": sigma, "gray": gray, "seed": seed}, image) - image


@pytest.mark.parametrize("sigma", [1, 12.5, 30])
def test_gaussian_noise_is_white_and_normal_with_the_sigma_asked_for(sigma):
    noise = _gaussian(sigma, gray=False)
    assert noise.std() == pytest.approx(sigma / 255, rel=0.01)
    assert abs(noise.mean()) < 4 * sigma / 255 / np.sqrt(noise.size)
    assert abs((noise[1:] * noise[:-1]).mean()) < 0.01 * noise.var()
    assert abs((noise[:, :, 0] * noise[:, :, 1]).mean()) < 0.02 * noise.var()
    assert stats.kstest(noise[::4, ::4].ravel() * 255 / sigma, "norm").pvalue > 0.01


def test_gray_gaussian_noise_is_the_same_in_all_channels_and_another_for_another_seed():
    noise = _gaussian(20, gray=True)
    np.testing.assert_allclose(noise[:, :, 0], noise[:, :, 1], atol=1e-7)
    np.testing.assert_allclose(noise[:, :, 0], noise[:, :, 2], atol=1e-7)
    other = _gaussian(20, gray=True, seed=2)
    assert abs(np.corrcoef(noise[:, :, 0].ravel(), other[:, :, 0].ravel())[0, 1]) < 0.02


def test_gray_flag_comes_with_its_probability_and_seeds_differ():
    step = GaussianNoise(sigma_8bit=[1, 30], gray_prob=0.4)
    rng = np.random.default_rng(0)
    drawn = [step.sample(rng, Frame((8, 8), (8, 8), (8, 8))) for _ in range(2000)]
    assert np.mean([params["gray"] for params in drawn]) == pytest.approx(0.4, abs=0.04)
    assert len({params["seed"] for params in drawn}) == 2000
    assert all(0 <= params["seed"] < 2**53 for params in drawn)


FRAME = Frame((8, 8), (8, 8), (8, 8))


def _correlated(seed: int) -> dict:
    return GaussianNoise(sigma_8bit=20, correlated_prob=1).sample(np.random.default_rng(seed), FRAME)


@pytest.mark.parametrize("seed", range(4))
def test_correlated_noise_has_the_covariance_of_its_plan(seed):
    params = _correlated(seed)
    image = np.full((400, 400, 3), 0.5, np.float32)
    noise = (GaussianNoise.apply(params, image) - image).reshape(-1, 3).astype(np.float64)
    root = np.array(params["correlation"])
    expected = (20 / 255) ** 2 * root @ root.T
    np.testing.assert_allclose(np.cov(noise.T), expected, atol=0.02 * expected.max())
    assert np.abs(noise.mean(0)).max() < 4 * 20 / 255 / 400


def test_drawn_covariances_have_bsrgans_law():
    # |U^T D U| keeps the trace of D, three numbers uniform in [0, 1], and has no negative entry
    covariances = []
    for seed in range(1000):
        root = np.array(_correlated(seed)["correlation"])
        covariances.append(root @ root.T)
        assert covariances[-1].min() >= -1e-12
    traces = np.trace(covariances, axis1=1, axis2=2)
    assert stats.kstest(traces, stats.irwinhall(3).cdf).pvalue > 0.01
    # against BSRGAN's expression, from another generator
    rng, theirs = np.random.default_rng(99), []
    for _ in range(1000):
        diagonal, basis = np.diag(rng.random(3)), linalg.orth(rng.random((3, 3)))
        theirs.append(np.abs(np.dot(np.dot(np.transpose(basis), diagonal), basis)))
    for i, j in ((0, 0), (1, 1), (0, 1), (1, 2)):
        assert stats.ks_2samp(np.array(covariances)[:, i, j], np.array(theirs)[:, i, j]).pvalue > 0.01


def test_the_three_kinds_of_gaussian_noise_come_with_their_probabilities():
    step = GaussianNoise(sigma_8bit=[2, 10], gray_prob=0.4, correlated_prob=0.2, correlated_sigma_8bit=25)
    rng = np.random.default_rng(0)
    drawn = [step.sample(rng, FRAME) for _ in range(2000)]
    correlated = [params for params in drawn if "correlation" in params]
    assert all(params["sigma_8bit"] == 25 and not params["gray"] for params in correlated)
    assert all(2 <= params["sigma_8bit"] <= 10 for params in drawn if "correlation" not in params)
    counts = [len(correlated), sum(params["gray"] for params in drawn)]
    assert stats.chisquare([*counts, 2000 - sum(counts)], [400, 800, 800]).pvalue > 1e-3
    with pytest.raises(RecipeError, match="above 1"):
        GaussianNoise(sigma_8bit=1, gray_prob=0.6, correlated_prob=0.5)


@pytest.mark.parametrize("gray", [True, False])
def test_speckle_grows_with_the_brightness_and_spares_black(gray):
    noise = SpeckleNoise.apply({"sigma_8bit": 20, "gray": gray, "seed": 5}, GRADIENT) - GRADIENT
    for column in (10, 128, 215):
        around = slice(column - 8, column + 8)
        assert noise[:, around].std() == pytest.approx(GRADIENT[0, column, 0] * 20 / 255, rel=0.03)
    np.testing.assert_array_equal(SpeckleNoise.apply({"sigma_8bit": 20, "gray": gray, "seed": 5}, GRADIENT * 0), 0)
    assert (np.abs(noise[:, :, 0] - noise[:, :, 1]).max() < 1e-6) == gray


def _drawn(name: str, seed: int, gray: bool) -> tuple[type[Step], dict]:
    specs = {
        "GaussianNoise": {"sigma_8bit": 15},
        "SpeckleNoise": {"sigma_8bit": 15},
        "PoissonNoise": {"scale": 1, "min_levels": 64},
        "ShotNoise": {"photons": 300},
    }
    step = build_node({"type": name, **specs[name], "gray_prob": float(gray)})
    return type(step), step.draw(np.random.default_rng(seed), FRAME)[0]


NOISES = ("GaussianNoise", "SpeckleNoise", "PoissonNoise", "ShotNoise")


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("gray", [True, False])
def test_fields_of_two_seeds_have_nothing_in_common_and_one_repeats(name, gray):
    fields = []
    for seed in (1, 2, 1):
        step, params = _drawn(name, seed, gray)
        fields.append((step.apply(params, GRADIENT) - GRADIENT).ravel())
    np.testing.assert_array_equal(fields[0], fields[2])
    assert abs(np.corrcoef(fields[0], fields[1])[0, 1]) < 0.02


@pytest.mark.parametrize("name", NOISES)
def test_gray_noise_keeps_gray_gray(name):
    step, params = _drawn(name, 1, gray=True)
    noisy = step.apply(params, GRADIENT)
    assert np.ptp(noisy, axis=2).max() < 1e-6
    assert (noisy - GRADIENT).std() > 0.01


@pytest.mark.parametrize("name", NOISES)
def test_what_a_sinc_overshoots_is_clipped(name):
    edge = np.zeros((32, 32, 3), np.float32)
    edge[:, 16:] = 1
    ringing = SincBlur.apply({"kernel_size": 21, "cutoff": 0.5}, edge)
    assert ringing.min() < -0.04
    assert ringing.max() > 1.04
    step, params = _drawn(name, 1, gray=False)
    noisy = step.apply(params, ringing)
    assert 0 <= noisy.min() <= noisy.max() <= 1


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("gray", [True, False])
def test_the_batched_form_has_the_same_law_for_each_image_by_itself(name, gray):
    drawn = [_drawn(name, seed, gray) for seed in (1, 2)]
    step, params = drawn[0][0], [params for _, params in drawn]
    images = torch.from_numpy(GRADIENT).permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
    batch = step.apply_batch(params, images)
    torch.testing.assert_close(batch[1:], step.apply_batch(params[1:], images[1:]))
    fields = (batch - images).numpy()
    ours = step.apply(params[0], GRADIENT) - GRADIENT
    for column in (20, 128, 235):
        around = slice(column - 8, column + 8)
        assert fields[0, :, :, around].std() == pytest.approx(ours[:, around].std(), rel=0.04)
    assert abs(fields.mean()) < 0.001
    assert (np.ptp(fields, axis=1).max() < 1e-6) == gray
    assert abs(np.corrcoef(fields[0].ravel(), fields[1].ravel())[0, 1]) < 0.02


def test_batched_correlated_noise_has_the_covariance_of_its_plan():
    params = [_correlated(seed) for seed in (0, 1)]
    noise = GaussianNoise.apply_batch(params, torch.full((2, 3, 300, 300), 0.5)) - 0.5
    for p, field_of_one in zip(params, noise.flatten(2).numpy(), strict=True):
        root = np.array(p["correlation"])
        expected = (20 / 255) ** 2 * root @ root.T
        np.testing.assert_allclose(np.cov(field_of_one), expected, atol=0.02 * expected.max())


@pytest.mark.parametrize("name", NOISES)
def test_the_batched_form_lets_the_gradient_through(name):
    step, params = _drawn(name, 1, gray=False)
    image = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    step.apply_batch([params], image).sum().backward()
    assert image.grad is not None
    assert image.grad.mean().item() == pytest.approx(1, abs=0.1)
