"""Blur kernels: (k, k) float32, k odd, summing to 1, centred; x runs along columns, y along rows.

The families and their parameters are those of Real-ESRGAN (Wang et al., 2021, section 3.2 and appendix).
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import special

SigmaXY = Sequence[float]
"""(sigma_x, sigma_y)"""


def gaussian(size: int, sigma_px: SigmaXY, theta: float = 0.0) -> Float[np.ndarray, "k k"]:
    """Gaussian with the covariance R diag(sigma_x^2, sigma_y^2) R^T, R the rotation by theta [rad]."""
    return _normalise(np.exp(-0.5 * _squared_distance(size, sigma_px, theta)))


def generalized_gaussian(
    size: int, sigma_px: SigmaXY, theta: float = 0.0, beta: float = 1.0
) -> Float[np.ndarray, "k k"]:
    """exp(-q^beta / 2), q the squared distance in units of sigma; beta 1 is the Gaussian, more is flatter inside."""
    return _normalise(np.exp(-0.5 * _squared_distance(size, sigma_px, theta) ** beta))


def plateau(size: int, sigma_px: SigmaXY, theta: float = 0.0, beta: float = 1.0) -> Float[np.ndarray, "k k"]:
    """1 / (1 + q^beta), q the squared distance in units of sigma."""
    return _normalise(1 / (1 + _squared_distance(size, sigma_px, theta) ** beta))


def sinc(size: int, cutoff: float) -> Float[np.ndarray, "k k"]:
    """Circular low-pass filter w J1(w r) / (2 pi r), w the cut-off [rad/px]; rings, and has negative taps."""
    offset = np.arange(size) - size // 2
    radius = np.hypot(offset[:, None], offset[None, :])
    radius[size // 2, size // 2] = 1.0  # any value: the limit at the centre is set below
    kernel = cutoff * special.j1(cutoff * radius) / (2 * math.pi * radius)
    kernel[size // 2, size // 2] = cutoff**2 / (4 * math.pi)
    return _normalise(kernel)


def trim(kernel: Float[np.ndarray, "k k"], tolerance: float = 1e-6) -> Float[np.ndarray, "j j"]:
    """The smallest centred square that leaves out less than `tolerance` of the kernel's absolute sum."""
    magnitude = np.abs(kernel)
    half = len(kernel) // 2
    left_out = 0.0
    for margin in range(half):
        ring = magnitude[margin : len(kernel) - margin, margin : len(kernel) - margin]
        left_out += float(ring.sum() - ring[1:-1, 1:-1].sum())
        if left_out > tolerance:
            return kernel if margin == 0 else _normalise(kernel[margin:-margin, margin:-margin])
    return np.ones((1, 1), np.float32)


def separate(kernel: Float[np.ndarray, "k k"]) -> tuple[Float[np.ndarray, "k"], Float[np.ndarray, "k"]] | None:
    """A column and a row whose product is the kernel, as for isotropic Gaussians, or None where there are none."""
    middle = len(kernel) // 2
    column, row = kernel[:, middle], kernel[middle] / kernel[middle, middle]
    return (column, row) if np.abs(np.outer(column, row) - kernel).max() < 1e-7 else None


def _squared_distance(size: int, sigma_px: SigmaXY, theta: float) -> Float[np.ndarray, "k k"]:
    """Squared distance from the centre along the axes rotated by theta, in units of sigma."""
    offset = np.arange(size) - size // 2
    x, y = offset[None, :], offset[:, None]
    along = x * math.cos(theta) + y * math.sin(theta)
    across = y * math.cos(theta) - x * math.sin(theta)
    return (along / sigma_px[0]) ** 2 + (across / sigma_px[1]) ** 2


def _normalise(kernel: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    return (kernel / kernel.sum()).astype(np.float32)
