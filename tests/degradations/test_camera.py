"""Camera noise: the processing undone and done again, its law in raw, and demosaicing against OpenCV's and its own idea."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from degradations.camera import DEMOSAIC_FILTERS, PATTERNS, CameraNoise, demosaic, draw_camera
from degradations.registry import Frame

QUIET = {
    "shot": 0.0,
    "read": 0.0,
    "gains": [2.6, 1.25, 2.1],
    "rgb_to_camera": draw_camera(np.random.default_rng(3)).tolist(),
    "pattern": None,
    "seed": 4,
}


def _image(height: int = 40, width: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


def _smooth(height: int = 64, width: int = 80) -> np.ndarray:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [0.5 + 0.3 * np.sin(x / 17 + phase) * np.cos(y / 23 + 2 * phase) for phase in (0, 0.7, 1.9)]
    return np.stack(waves, 2).astype(np.float32)


def _batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def _linear(picture: np.ndarray) -> np.ndarray:
    """The picture's light, by inverting 3 x^2 - 2 x^3 through a table, then the sRGB standard's formula."""
    x = np.linspace(0, 1, 200_001)
    coded = np.interp(picture, 3 * x**2 - 2 * x**3, x)
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def test_without_noise_and_mosaic_the_picture_comes_back():
    for image in (_image(), np.zeros((5, 5, 3), np.float32), np.ones((5, 5, 3), np.float32), np.rint(_image(seed=1))):
        np.testing.assert_allclose(CameraNoise.apply(QUIET, image), image, atol=1e-5)
        ours = CameraNoise.apply_batch([QUIET], _batch(image))
        np.testing.assert_allclose(ours[0].permute(1, 2, 0).numpy(), image, atol=2e-5)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_mosaic_alone_leaves_a_smooth_picture_nearly_as_it_is(pattern):
    image = _smooth()
    out = CameraNoise.apply({**QUIET, "pattern": pattern}, image)
    assert np.abs(out - image)[3:-3, 3:-3].max() < 0.004
    assert np.abs(out - image).max() < 0.03
    gray = np.full((9, 11, 3), 0.4, np.float32)
    np.testing.assert_allclose(CameraNoise.apply({**QUIET, "pattern": pattern}, gray), gray, atol=1e-5)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_demosaicing_keeps_what_each_pixel_has_and_straight_ramps(pattern):
    image = _image(7, 10)
    out = demosaic(image, pattern)
    for i, j in np.ndindex(7, 10):
        site = "rgb".index(pattern[2 * (i % 2) + j % 2])
        assert out[i, j, site] == image[i, j, site]
    y, x = np.mgrid[:12, :14].astype(np.float32)
    ramp = np.stack([0.02 * x + 0.03 * y] * 3, 2)
    np.testing.assert_allclose(demosaic(ramp, pattern)[2:-2, 2:-2], ramp[2:-2, 2:-2], atol=1e-5)


def test_demosaicing_is_nearer_to_the_picture_than_opencvs_bilinear_one():
    # colours that vary together, as they mostly do in photos: the filters' correction by the known colour then helps
    luma = cv2.GaussianBlur(_image(96, 96)[:, :, :1].repeat(3, 2), (0, 0), 1.2)
    image = np.clip((luma - 0.5) * 3 + 0.5, 0, 1) * np.array([0.9, 1.0, 0.8], np.float32)
    eight_bit = np.rint(image * 255).astype(np.uint8)
    mosaic = eight_bit[:, :, 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = eight_bit[::2, ::2, 0], eight_bit[1::2, 1::2, 2]
    theirs = cv2.cvtColor(mosaic, cv2.COLOR_BayerRGGB2RGB) / 255
    inner = (slice(4, -4), slice(4, -4))
    error = np.mean((demosaic(image, "rggb") - image)[inner] ** 2)
    assert error < 0.5 * np.mean((theirs - image)[inner] ** 2)
    assert DEMOSAIC_FILTERS.sum((1, 2)) == pytest.approx(np.ones(4))


@pytest.mark.parametrize("value", [0.15, 0.5, 0.8])
def test_the_variance_in_raw_is_shot_times_x_plus_read(value):
    shot, read, gains = 2e-4, 3e-6, np.array([2.0, 1.25, 1.5])
    params = {**QUIET, "shot": shot, "read": read, "gains": gains.tolist(), "rgb_to_camera": np.eye(3).tolist()}
    image = np.full((300, 300, 3), value, np.float32)
    raw = _linear(CameraNoise.apply(params, image)) / gains
    clean = _linear(image) / gains
    for channel in range(3):
        expected = shot * clean[0, 0, channel] + read
        assert raw[:, :, channel].var() == pytest.approx(expected, rel=0.03)
        assert abs(raw[:, :, channel].mean() - clean[0, 0, channel]) < 4 * np.sqrt(expected / 90_000) + 1e-6


def test_white_stays_white_and_noise_fades_out_towards_it():
    white = np.ones((40, 40, 3), np.float32)
    noisy = {**QUIET, "shot": 0.01, "read": 1e-4, "pattern": "rggb"}
    np.testing.assert_allclose(CameraNoise.apply(noisy, white), 1, atol=1e-5)
    faint = {**QUIET, "shot": 1e-6, "rgb_to_camera": np.eye(3).tolist(), "gains": [1.5] * 3}
    for value in (0.95, 0.997, 0.9995):
        image = np.full((100, 100, 3), value, np.float32)
        light = _linear(image)[0, 0, 0]
        expected = 1.5 * math.sqrt(1e-6 * light / 1.5) * (1 - (max(light - 0.9, 0) / 0.1) ** 2)
        assert _linear(CameraNoise.apply(faint, image)).std() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("pattern", [None, "gbrg"])
def test_gray_in_gray_out_on_average(pattern):
    params = {**QUIET, "shot": 1e-3, "read": math.exp(2.18 * math.log(1e-3) + 1.2), "pattern": pattern}
    for value in (0.3, 0.6, 0.85):
        out = CameraNoise.apply(params, np.full((300, 300, 3), value, np.float32))
        assert out.std() > 0.005
        assert np.ptp(out.mean((0, 1))) < 1 / 255
        assert abs(out.mean() - value) < 2 / 255


def test_noise_under_a_mosaic_reaches_the_neighbours():
    image = np.full((200, 200, 3), 0.5, np.float32)
    correlations = []
    for pattern in (None, "rggb"):
        noise = CameraNoise.apply({**QUIET, "shot": 1e-3, "pattern": pattern}, image) - image
        red = noise[:, :, 0] - noise[:, :, 0].mean()
        correlations.append((red[:, 1:] * red[:, :-1]).mean() / red.var())
    assert abs(correlations[0]) < 0.03
    assert correlations[1] > 0.2


def test_drawn_parameters_keep_to_their_laws():
    step, rng = CameraNoise(mosaic_prob=0.75), np.random.default_rng(0)
    drawn = [step.sample(rng, Frame((8, 8), (8, 8), (8, 8))) for _ in range(2000)]
    log_shot = np.log([params["shot"] for params in drawn])
    low, high = math.log(1e-4), math.log(0.012)
    assert stats.kstest(log_shot, stats.uniform(low, high - low).cdf).pvalue > 0.01
    log_read = np.log([params["read"] for params in drawn])
    assert stats.kstest((log_read - 2.18 * log_shot - 1.2) / 0.26, "norm").pvalue > 0.01
    patterns = [params["pattern"] for params in drawn]
    counts = [patterns.count(pattern) for pattern in (None, *PATTERNS)]
    assert stats.chisquare(counts, [500, 375, 375, 375, 375]).pvalue > 1e-3
    for params in drawn[:50]:
        assert np.sum(params["rgb_to_camera"], 1) == pytest.approx(np.ones(3))
        assert 1.9 <= params["gains"][0] / params["gains"][1] <= 2.4


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([None, *PATTERNS]), st.integers(0, 99))
def test_every_size_keeps_its_shape_and_range_in_both_executors(h, w, pattern, seed):
    image = _image(h, w, seed) * 1.4 - 0.2
    params = {**QUIET, "shot": 0.05, "read": 0.01, "pattern": pattern, "seed": seed}
    out = CameraNoise.apply(params, image)
    assert out.shape == (h, w, 3)
    assert out.dtype == np.float32
    assert 0 <= out.min() <= out.max() <= 1
    batch = CameraNoise.apply_batch([params, params], _batch(image).repeat(2, 1, 1, 1))
    assert batch.shape == (2, 3, h, w)
    torch.testing.assert_close(batch[0], batch[1], atol=1e-6, rtol=0)
    assert batch.isfinite().all()
    quiet = {**params, "shot": 0.0, "read": 0.0}
    same = CameraNoise.apply_batch([quiet], _batch(image))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(same, CameraNoise.apply(quiet, image), atol=2e-4)


def test_executors_agree_in_distribution_and_each_image_has_its_own_parameters():
    image = np.full((128, 128, 3), 0.5, np.float32)
    plans = [{**QUIET, "shot": 1e-3, "seed": 1}, {**QUIET, "shot": 4e-3, "pattern": "grbg", "seed": 2}]
    batch = CameraNoise.apply_batch(plans, _batch(image).repeat(2, 1, 1, 1))
    for params, theirs in zip(plans, batch, strict=True):
        ours = CameraNoise.apply(params, image)
        for channel in range(3):
            assert theirs[channel].std().item() == pytest.approx(ours[:, :, channel].std(), rel=0.05)
    noise = (batch - 0.5).flatten(1).numpy()
    assert abs(np.corrcoef(noise[0], noise[1])[0, 1]) < 0.02


def test_the_batched_form_has_a_finite_gradient():
    images = torch.from_numpy(np.rint(_image(6, 8) * 2) / 2).permute(2, 0, 1)[None].requires_grad_()
    CameraNoise.apply_batch([{**QUIET, "shot": 1e-3, "pattern": "rggb"}], images).sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert (images.grad != 0).any()


def test_the_same_seed_repeats_and_another_differs():
    image, params = _image(), {**QUIET, "shot": 1e-3}
    np.testing.assert_array_equal(CameraNoise.apply(params, image), CameraNoise.apply(params, image))
    flat = np.full((100, 100, 3), 0.5, np.float32)
    first, second = (CameraNoise.apply({**params, "seed": seed}, flat).ravel() for seed in (1, 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
