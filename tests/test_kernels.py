"""Blur kernels against BasicSR's makers, scipy's Bessel function, and their own moments."""

import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from degradations import kernels

SIZES = st.integers(3, 10).map(lambda half: 2 * half + 1)
SIGMAS = st.floats(0.2, 3)
ANGLES = st.floats(-math.pi, math.pi)
BETAS = st.floats(0.5, 4)


@pytest.fixture(scope="module")
def basicsr() -> ModuleType:
    from basicsr.data import degradations as official

    return official


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SIZES, SIGMAS, SIGMAS, ANGLES, BETAS)
def test_every_kernel_equals_basicsr_given_the_same_parameters(basicsr, size, sigma_x, sigma_y, theta, beta):
    sigma = (sigma_x, sigma_y)
    pairs = [
        (kernels.gaussian(size, sigma, theta), basicsr.bivariate_Gaussian(size, *sigma, theta, isotropic=False)),
        (kernels.gaussian(size, (sigma_x, sigma_x)), basicsr.bivariate_Gaussian(size, sigma_x, 0, 0)),
        (
            kernels.generalized_gaussian(size, sigma, theta, beta),
            basicsr.bivariate_generalized_Gaussian(size, *sigma, theta, beta, isotropic=False),
        ),
        (
            kernels.plateau(size, sigma, theta, beta),
            basicsr.bivariate_plateau(size, *sigma, theta, beta, isotropic=False),
        ),
        (kernels.sinc(size, 0.7 + beta / 2), basicsr.circular_lowpass_kernel(0.7 + beta / 2, size)),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
        assert ours.dtype == np.float32
        assert ours.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(ours, ours[::-1, ::-1], atol=1e-7)


def test_only_the_sinc_has_negative_taps():
    for make in (kernels.gaussian, kernels.generalized_gaussian, kernels.plateau):
        assert make(21, (2.0, 0.5), 0.4).min() >= 0
    assert kernels.sinc(21, 2.0).min() < 0


def test_isotropic_kernels_equal_their_transpose():
    for make in (kernels.gaussian, kernels.generalized_gaussian, kernels.plateau):
        np.testing.assert_array_equal(make(13, (1.7, 1.7)), make(13, (1.7, 1.7)).T)


def test_second_moments_of_a_gaussian_are_the_rotated_covariance():
    sigma_x, sigma_y, theta = 2.5, 1.2, 0.6
    kernel = kernels.gaussian(41, (sigma_x, sigma_y), theta)
    offset = np.arange(41) - 20
    x, y = np.meshgrid(offset, offset)
    moments = [[(kernel * a * b).sum() for b in (x, y)] for a in (x, y)]
    turn = np.array([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]])
    np.testing.assert_allclose(moments, turn @ np.diag([sigma_x**2, sigma_y**2]) @ turn.T, atol=1e-3)


def test_a_generalised_gaussian_of_beta_one_is_the_gaussian():
    np.testing.assert_allclose(
        kernels.generalized_gaussian(15, (1.5, 0.8), 0.3, 1.0), kernels.gaussian(15, (1.5, 0.8), 0.3), atol=1e-7
    )


def test_sinc_is_the_bessel_formula_tap_by_tap():
    size, cutoff = 11, 2.1
    expected = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            r = math.hypot(i - 5, j - 5)
            expected[i, j] = cutoff * special.j1(cutoff * r) / (2 * math.pi * r) if r else cutoff**2 / (4 * math.pi)
    np.testing.assert_allclose(kernels.sinc(size, cutoff), expected / expected.sum(), atol=1e-6)


def test_sinc_passes_below_its_cutoff_and_stops_above():
    kernel, cutoff = kernels.sinc(101, math.pi / 2), math.pi / 2
    offset = np.arange(101) - 50
    for frequency, gain in ((0.6 * cutoff, 1.0), (1.4 * cutoff, 0.0)):
        response = (kernel * np.cos(frequency * offset)[None, :]).sum()
        assert response == pytest.approx(gain, abs=0.06)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SIZES, SIGMAS, SIGMAS, ANGLES)
def test_trimming_loses_less_than_its_tolerance(size, sigma_x, sigma_y, theta):
    kernel = kernels.gaussian(size, (sigma_x, sigma_y), theta)
    trimmed = kernels.trim(kernel, tolerance=1e-5)
    margin = (size - len(trimmed)) // 2
    assert np.abs(np.pad(trimmed, margin) - kernel).sum() < 3e-5
    assert len(trimmed) % 2 == 1


def test_trimming_cuts_a_narrow_kernel_to_its_true_size():
    assert kernels.trim(kernels.gaussian(21, (0.2, 0.2))).shape == (3, 3)
    assert kernels.trim(kernels.gaussian(7, (3.0, 3.0))).shape == (7, 7)
