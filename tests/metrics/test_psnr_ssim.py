"""PSNR and SSIM against closed forms and scikit-image."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from realciao.errors import UserError
from realciao.metrics import build_metric

SIZES = st.tuples(st.integers(13, 40), st.integers(13, 40))
BT601 = np.array([65.481, 128.553, 24.966]) / 255  # Y per level of R, G and B; 16 is added


def noisy_pair(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A ground truth and a prediction with values in [0, 255], as uint8."""
    rng = np.random.default_rng(seed)
    gt = rng.integers(0, 256, (*size, 3))
    return np.clip(gt + rng.integers(-40, 41, gt.shape), 0, 255).astype(np.uint8), gt.astype(np.uint8)


def unit(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) / 255


def luma(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float64) @ BT601 + 16


def wang_ssim(pred: np.ndarray, gt: np.ndarray) -> Any:
    """SSIM of one channel as published: Gaussian window, valid pixels only."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return structural_similarity(pred.astype(np.float64), gt.astype(np.float64), **options)


@pytest.mark.parametrize("levels", [1, 10, 255])
def test_psnr_of_a_constant_difference_is_its_closed_form(levels: int):
    gt = np.zeros((9, 7, 3), np.float32)
    assert build_metric("psnr")(gt + levels / 255, gt) == pytest.approx(20 * math.log10(255 / levels))


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_psnr_y_weighs_red_green_and_blue_as_bt601_does(channel: int):
    gt = np.full((8, 8, 3), 0.2, np.float32)
    pred = gt.copy()
    pred[..., channel] += 20 / 255
    assert build_metric("psnr_y")(pred, gt) == pytest.approx(20 * math.log10(255 / (20 * BT601[channel])), abs=1e-3)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(SIZES, st.integers(0, 99))
def test_psnr_is_what_scikit_image_computes(size: tuple[int, int], seed: int):
    pred, gt = noisy_pair(seed, size)
    assert build_metric("psnr")(unit(pred), unit(gt)) == pytest.approx(peak_signal_noise_ratio(gt, pred), abs=1e-6)
    judge = peak_signal_noise_ratio(luma(gt), luma(pred), data_range=255)
    assert build_metric("psnr_y")(unit(pred), unit(gt)) == pytest.approx(judge, abs=1e-4)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(SIZES, st.integers(0, 99))
def test_ssim_is_what_scikit_image_computes(size: tuple[int, int], seed: int):
    pred, gt = noisy_pair(seed, size)
    channels = np.mean([wang_ssim(pred[..., c], gt[..., c]) for c in range(3)])
    assert build_metric("ssim")(unit(pred), unit(gt)) == pytest.approx(channels, abs=1e-6)
    judge = wang_ssim(luma(pred), luma(gt))
    assert build_metric("ssim_y")(unit(pred), unit(gt)) == pytest.approx(judge, abs=1e-5)


@pytest.mark.parametrize("name", ["psnr", "psnr_y", "ssim", "ssim_y"])
def test_crop_border_is_cropping_first(name: str):
    pred, gt = (unit(image) for image in noisy_pair(3, (30, 37)))
    cropped = build_metric(name)(pred[4:-4, 4:-4], gt[4:-4, 4:-4])
    assert build_metric(name, crop_border=4)(pred, gt) == pytest.approx(cropped, abs=1e-12)


@pytest.mark.parametrize(("name", "best"), [("psnr", math.inf), ("psnr_y", math.inf), ("ssim", 1), ("ssim_y", 1)])
def test_a_prediction_whose_file_would_equal_the_ground_truth_scores_the_best_there_is(name: str, best: float):
    _, gt = noisy_pair(5, (16, 16))
    below_half_a_level = np.random.default_rng(0).uniform(-0.49, 0.49, gt.shape) / 255
    assert build_metric(name)((unit(gt) + below_half_a_level).astype(np.float32), unit(gt)) == best


def test_values_outside_the_range_count_as_the_nearest_inside():
    pred, gt = (unit(image) for image in noisy_pair(7, (16, 16)))
    wide = np.where(pred == 0, -0.5, np.where(pred == 1, 1.5, pred)).astype(np.float32)
    assert (wide != pred).any()
    assert build_metric("psnr")(wide, gt) == build_metric("psnr")(pred, gt)


def test_wrong_sizes_and_a_missing_ground_truth_are_named():
    gt = np.zeros((12, 16, 3), np.float32)
    with pytest.raises(UserError, match=r"psnr: the prediction is 15x12 and the ground truth 16x12"):
        build_metric("psnr")(gt[:, :15], gt)
    with pytest.raises(UserError, match="ssim_y needs a ground truth"):
        build_metric("ssim_y")(gt)


@pytest.mark.parametrize(("name", "border", "side"), [("psnr", 4, 8), ("ssim", 0, 10), ("ssim_y", 2, 14)])
def test_an_image_too_small_for_window_and_border_has_no_number(name: str, border: int, side: int):
    metric = build_metric(name, crop_border=border)
    image, larger = (np.zeros((n, 40, 3), np.float32) for n in (side, side + 1))
    assert math.isnan(metric(image, image))
    assert not math.isnan(metric(larger, larger))


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("psnry", r"val\.metrics: no metric 'psnry'; did you mean 'psnr_y'\?"),
        ("calculate_psnr", r"val\.metrics: no metric 'calculate_psnr'"),
        ({"type": "SSIM", "crop": 4}, r"val\.metrics\.crop: unknown key; did you mean 'crop_border'\?"),
        ({"type": "SSIM", "crop_border": -1}, r"val\.metrics: SSIM: crop_border must not be negative"),
        ({"crop_border": 4}, r"val\.metrics\.type: no metric"),
    ],
)
def test_a_wrong_spec_is_one_line_with_its_path(spec: object, problem: str):
    with pytest.raises(UserError, match=problem):
        build_metric(spec, "val.metrics")  # type: ignore[arg-type]


def test_a_spec_goes_before_the_defaults_and_metrics_take_only_what_they_know():
    metric = build_metric({"type": "psnr_y", "crop_border": 2}, crop_border=4, iqa_params="nowhere")
    assert metric.implementation.endswith("calculate_psnr, Y, crop_border=2")
    assert build_metric("PSNR", crop_border=4).implementation.endswith("RGB, crop_border=4")
