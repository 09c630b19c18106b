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


def _stroke(length: float, angle: float, half: int, points: int = 3000) -> np.ndarray:
    """A point that moves along the stroke and leaves its light on the four pixels around it."""
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    for i in range(points):
        t = ((i + 0.5) / points - 0.5) * length
        x, y = t * math.cos(angle) + half, t * math.sin(angle) + half
        left, top = math.floor(x), math.floor(y)
        for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            share = (1 - abs(y - row)) * (1 - abs(x - column))
            if share > 0:
                kernel[row, column] += share / points
    return kernel


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.floats(0, 20), ANGLES)
def test_a_motion_is_a_point_that_moves_along_its_stroke(length, angle):
    kernel = kernels.motion(length, angle)
    np.testing.assert_allclose(kernel, _stroke(length, angle, len(kernel) // 2), atol=1e-5)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)


def test_motions_along_an_axis_and_the_diagonal_have_their_closed_forms():
    np.testing.assert_allclose(kernels.motion(4, 0)[2], [1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8], atol=1e-7)
    np.testing.assert_allclose(kernels.motion(4, math.pi / 2), kernels.motion(4, 0).T, atol=1e-7)
    diagonal = [[1 / 6, 1 / 12, 0], [1 / 12, 1 / 3, 1 / 12], [0, 1 / 12, 1 / 6]]  # down to the right
    middle = kernels.motion(2 * math.sqrt(2), math.pi / 4)
    margin = len(middle) // 2 - 1
    np.testing.assert_allclose(middle[margin : margin + 3, margin : margin + 3], diagonal, atol=1e-6)
    np.testing.assert_array_equal(kernels.motion(0, 1.0), [[1]])


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.floats(0, 8))
def test_a_disk_covers_of_each_pixel_what_lies_within_its_radius(radius):
    kernel = kernels.disk(radius)
    half, per_pixel = len(kernel) // 2, 100
    place = (np.arange(len(kernel) * per_pixel) + 0.5) / per_pixel - half - 0.5
    lit = (place[:, None] ** 2 + place[None, :] ** 2 <= radius**2).astype(np.float64)
    covered = lit.reshape(len(kernel), per_pixel, len(kernel), per_pixel).mean(axis=(1, 3))
    if radius > 0.5:
        np.testing.assert_allclose(kernel, covered / (math.pi * radius**2), atol=4e-4)
        assert np.pad(covered, 1)[0].max() == 0  # the disk ends within the kernel
    else:
        np.testing.assert_array_equal(kernel, [[1]])


def test_a_disk_passes_frequencies_as_an_airy_pattern():
    kernel, radius = kernels.disk(6.3), 6.3
    offset = np.arange(len(kernel)) - len(kernel) // 2
    for frequency in (0.1, 0.3, 0.6, 0.9):
        response = (kernel * np.cos(frequency * offset)[None, :]).sum()
        airy = 2 * special.j1(frequency * radius) / (frequency * radius)
        assert response == pytest.approx(airy * np.sinc(frequency / 2 / math.pi), abs=0.003)  # and the pixel's own


@pytest.mark.parametrize("factor", [0.5, 0.8, 1, 1.3, 2.7, 4])
@pytest.mark.parametrize("size", [30, 31])
def test_a_stretched_gaussian_is_the_wider_gaussian_wherever_it_sat(factor, size):
    def gaussian(x, y):
        return np.exp(-0.5 * ((x / 2.5) ** 2 + (y / 1.8) ** 2 + 0.1 * x * y))

    place = np.arange(size) - size // 2
    kernel = kernels.stretch(gaussian(place[None, :] + 0.3, place[:, None] + 0.9), factor)
    offset = np.arange(len(kernel)) - len(kernel) // 2
    x, y = offset[None, :], offset[:, None]
    assert np.abs([(kernel * x).sum(), (kernel * y).sum()]).max() < 0.005
    moments = [[(kernel * a * b).sum() / factor**2 for b in (x, y)] for a in (x, y)]
    np.testing.assert_allclose(moments, np.linalg.inv([[1 / 2.5**2, 0.05], [0.05, 1 / 1.8**2]]), atol=0.1)
    wider = gaussian(x / factor, y / factor)
    np.testing.assert_allclose(kernel, wider / wider.sum(), atol=0.06 * kernel.max())
