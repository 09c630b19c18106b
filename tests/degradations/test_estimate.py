"""Noise, blur and blockiness of images whose truth is known, because they were made with it."""

import functools
import io
import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from PIL import Image
from scipy import ndimage

from degradations.estimate import blockiness, blur_sigma_px, jpeg_quality, noise_sigma_8bit

Picture = Float[np.ndarray, "h w 3"]


@functools.cache
def dead_leaves(seed: int, size: int = 192) -> Picture:
    """Discs that cover each other, whose sizes follow a power law: edges and flats as in photos, and no blur at all."""
    rng = np.random.default_rng(seed)
    image = np.full((4 * size, 4 * size, 3), 0.5, np.float32)
    for _ in range(250):
        radius = int(4 * min(8 * rng.pareto(1.5) + 6, 60))
        x, y = rng.integers(0, 4 * size, 2).tolist()
        cv2.circle(image, (x, y), radius, rng.uniform(0.15, 0.85, 3).tolist(), -1)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


def stored(image: Picture) -> Picture:
    return (np.rint(np.clip(image, 0, 1) * 255) / 255).astype(np.float32)


def blurred(image: Picture, sigma: float) -> Picture:
    return ndimage.gaussian_filter(image, (sigma, sigma, 0))


def with_noise(image: Picture, sigma_8bit: float, gray: bool = False) -> Picture:
    noise = np.random.default_rng(1).normal(0, sigma_8bit / 255, (*image.shape[:2], 1 if gray else 3))
    return stored(image + noise)


def as_jpeg(image: Picture, quality: int) -> Picture:
    file = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32) / 255


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("sigma", [2, 5, 10, 20, 30])
def test_noise_is_found_within_15_percent(sigma: float, gray: bool) -> None:
    for seed in range(3):
        assert noise_sigma_8bit(with_noise(dead_leaves(seed), sigma, gray)) == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize(
    "treat", [lambda x: as_jpeg(x, 60), lambda x: stored(np.clip(ndimage.zoom(x, (1.5, 1.5, 1), order=1), 0, 1))]
)
def test_noise_that_was_made_coarse_is_found_too(treat: Callable[[Picture], Picture]) -> None:
    noisy_gray = with_noise(np.full((192, 192, 3), 0.5, np.float32), 16)
    truth = treat(noisy_gray).std() * 255
    assert noise_sigma_8bit(treat(with_noise(dead_leaves(0), 16))) == pytest.approx(truth, rel=0.25)


def test_there_is_no_noise_in_a_clean_image() -> None:
    assert noise_sigma_8bit(dead_leaves(0)) < 0.5


@pytest.mark.parametrize("noise", [0, 5])
def test_blur_is_found_within_20_percent_and_grows_with_the_truth(noise: float) -> None:
    for seed in range(2):
        sharp = dead_leaves(seed)
        truth = [0.5, 0.7, 1, 1.5, 2, 2.5, 3]
        found = [blur_sigma_px(with_noise(blurred(sharp, sigma), noise)) for sigma in truth]
        np.testing.assert_allclose(found, truth, rtol=0.2)
        assert found == sorted(found)


def test_a_sharpened_image_has_no_blur() -> None:
    sharp = dead_leaves(0)
    assert blur_sigma_px(stored(sharp + 0.8 * (sharp - blurred(sharp, 1.5)))) == 0


def test_blockiness_tells_quality_30_from_95_wherever_the_grid_begins() -> None:
    for seed in range(3):
        image = blurred(dead_leaves(seed), 0.7)
        low, high = as_jpeg(image, 30), as_jpeg(image, 95)
        assert min(blockiness(low), blockiness(low[3:, 5:])) > 1.3
        assert max(blockiness(high), blockiness(high[3:, 5:]), blockiness(image)) < 1.2


def test_blockiness_falls_as_quality_rises() -> None:
    image = with_noise(blurred(dead_leaves(1), 0.7), 2)
    found = [blockiness(as_jpeg(image, quality)) for quality in (10, 30, 50, 75)]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 75, 95, 100])
def test_the_quality_of_a_file_is_read_from_its_tables(quality: int) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG", quality=quality)
    opened = Image.open(file)
    assert jpeg_quality(opened.quantization[0]) == quality  # type: ignore[attr-defined]


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["black", "white", "gray", "noise", "checkerboard"]))
def test_any_image_gives_a_number_of_no_less_than_0_or_nan(height: int, width: int, kind: str) -> None:
    y, x = np.mgrid[:height, :width]
    values = {
        "black": np.zeros((height, width)),
        "white": np.ones((height, width)),
        "gray": np.full((height, width), 0.5),
        "noise": np.random.default_rng(0).random((height, width)),
        "checkerboard": (x + y) % 2,
    }[kind]
    image = np.repeat(values[..., None], 3, axis=2).astype(np.float32)
    for estimate in (noise_sigma_8bit, blur_sigma_px, blockiness):
        found = estimate(image)
        assert math.isnan(found) or 0 <= found < 1000
