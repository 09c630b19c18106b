"""Filtering against scipy, and the parameters that blurs draw."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from degradations import blur, kernel_pool, kernels, optical_blur
from degradations.registry import Frame

FRAME = Frame((64, 64), (64, 64), (16, 16))


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).random((height, width, 3), np.float32)


@pytest.mark.parametrize("size", [(40, 33), (8, 8), (5, 30), (21, 1), (1, 1)])
@pytest.mark.parametrize("kernel_size", [7, 15])
def test_correlation_equals_scipys_with_a_mirrored_border_and_a_lopsided_kernel(size, kernel_size):
    kernel = np.random.default_rng(1).random((kernel_size, kernel_size)).astype(np.float32)
    kernel[0] *= 3  # a flipped or shifted kernel shows
    kernel /= kernel.sum()
    image = _image(*size)
    expected = ndimage.correlate(image.astype(np.float64), kernel[:, :, None], mode="mirror")
    np.testing.assert_allclose(blur.correlate(image, kernel), expected, atol=2e-6)


@pytest.mark.parametrize("sigma", [(1.3, 1.3), (2.0, 0.7)])
def test_separable_and_full_kernels_take_the_same_result_by_either_way(sigma):
    kernel, image = kernels.gaussian(17, sigma), _image(50, 31)
    expected = ndimage.correlate(image.astype(np.float64), kernel[:, :, None], mode="mirror")
    np.testing.assert_allclose(blur.correlate(image, kernel), expected, atol=4e-6)


def test_a_kernel_narrower_than_a_pixel_changes_nothing():
    image = _image(12, 12)
    np.testing.assert_allclose(blur.correlate(image, kernels.gaussian(21, (0.1, 0.1))), image, atol=1e-6)


def test_blur_parameters_stay_in_their_ranges_and_cover_them():
    step = blur.GeneralizedGaussianBlur(kernel_size=[7, 21], sigma_px=[0.2, 3], beta=[0.5, 4], isotropic=False)
    rng = np.random.default_rng(3)
    drawn = [step.sample(rng, FRAME) for _ in range(2000)]
    assert {params["kernel_size"] for params in drawn} == set(range(7, 22, 2))
    sigma = np.array([params["sigma_px"] for params in drawn])
    assert 0.2 <= sigma.min() < 0.25
    assert 2.95 < sigma.max() <= 3
    assert abs(np.corrcoef(sigma.T)[0, 1]) < 0.08
    assert np.abs([params["theta"] for params in drawn]).max() == pytest.approx(math.pi, abs=0.02)
    beta = np.array([params["beta"] for params in drawn])
    assert (beta < 1).mean() == pytest.approx(0.5, abs=0.04)  # the coin


def test_half_of_the_plateaus_have_an_exponent_of_exactly_one():
    step = blur.PlateauBlur(kernel_size=7, sigma_px=1, beta=[1, 2])
    rng = np.random.default_rng(4)
    assert np.mean([step.sample(rng, FRAME)["beta"] == 1 for _ in range(2000)]) == pytest.approx(0.5, abs=0.04)


def test_a_variance_is_uniform_where_it_is_asked_for_and_grows_with_the_scale():
    step = blur.GaussianBlur([7, 25], variance_px2=[0, "4 + s"], isotropic=False)
    rng = np.random.default_rng(6)
    variance = np.array([step.sample(rng, FRAME)["sigma_px"] for _ in range(3000)]).ravel() ** 2
    assert stats.kstest(variance, stats.uniform(0, 8).cdf).pvalue > 1e-3


STEPS = (
    blur.GaussianBlur(9, [0.5, 2]),
    blur.SincBlur([7, 21], [0.3, 1]),
    optical_blur.MotionBlur([2, "5 s"], 30),
    optical_blur.DefocusBlur([0.5, "0.6 s"]),
    kernel_pool.KernelPool(),
)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_applies_the_kernel_that_its_parameters_describe(step):
    params = step.sample(np.random.default_rng(5), FRAME)
    image = _image(30, 20)
    expected = ndimage.correlate(image.astype(np.float64), step.kernel(params)[:, :, None], mode="mirror")
    np.testing.assert_allclose(step.apply(params, image), expected, atol=4e-6)
    batch = torch.from_numpy(image).permute(2, 0, 1).repeat(2, 1, 1, 1)
    other = step.sample(np.random.default_rng(6), FRAME)
    in_torch = step.apply_batch([other, params], batch)[1].permute(1, 2, 0)
    np.testing.assert_allclose(in_torch, expected, atol=4e-6)


def test_a_moving_camera_and_a_lens_out_of_focus_draw_what_they_are_told():
    rng = np.random.default_rng(7)
    motions = [optical_blur.MotionBlur([0, "5 s"]).sample(rng, FRAME) for _ in range(2000)]
    assert stats.kstest([m["length_px"] for m in motions], stats.uniform(0, 20).cdf).pvalue > 1e-3
    assert stats.kstest([m["angle_deg"] for m in motions], stats.uniform(0, 180).cdf).pvalue > 1e-3
    radii = [optical_blur.DefocusBlur([1, 3]).sample(rng, FRAME)["radius_px"] for _ in range(2000)]
    assert stats.kstest(radii, stats.uniform(1, 2).cdf).pvalue > 1e-3
