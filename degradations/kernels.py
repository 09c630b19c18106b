"""Blur kernels: (k, k) float32, k odd, summing to 1, centred; x runs along columns, y along rows.

The Gaussian families and the sinc, with their parameters, are those of Real-ESRGAN (Wang et al., 2021, section 3.2 and
appendix).
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


def motion(length_px: float, angle: float) -> Float[np.ndarray, "k k"]:
    """A straight stroke of even speed, centred, at `angle` [rad] from the x axis towards the y axis.

    It is the mean of the image, linearly interpolated, along the stroke. Between the stroke's crossings of the lines
    through pixel centres that is a quadratic in each tap's weight, so that Simpson's rule integrates it exactly.
    """
    half = math.ceil(length_px / 2)
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    step_x, step_y = math.cos(angle), math.sin(angle)
    lines = np.arange(-half, half + 1)
    crossings = [lines / step for step in (step_x, step_y) if abs(step) > 1e-9]
    ends = np.unique(
        np.clip(np.concatenate([*crossings, [-length_px / 2, length_px / 2]]), -length_px / 2, length_px / 2)
    )
    along = np.stack([ends[:-1], (ends[:-1] + ends[1:]) / 2, ends[1:]])
    weight = np.diff(ends) * np.array([[1], [4], [1]]) / 6
    if len(ends) == 1:  # no length at all
        along, weight = np.zeros((1, 1)), np.ones((1, 1))
    weight /= weight.sum()  # so that what counts as nothing below does not depend on the length
    for y in (np.floor(along * step_y), np.floor(along * step_y) + 1):
        for x in (np.floor(along * step_x), np.floor(along * step_x) + 1):
            share = weight * (1 - np.abs(along * step_y - y)) * (1 - np.abs(along * step_x - x))
            inside = share > 1e-12
            np.add.at(kernel, (y[inside].astype(int) + half, x[inside].astype(int) + half), share[inside])
    return _normalise(kernel)


def disk(radius_px: float) -> Float[np.ndarray, "k k"]:
    """An evenly lit disk, as a point out of focus is: every tap is the exact area of the disk within its pixel."""
    if radius_px <= 0.5:
        return np.ones((1, 1), np.float32)
    half = math.ceil(radius_px - 0.5)
    edge = np.arange(-half, half + 2) - 0.5
    corner = _disk_area(np.abs(edge)[:, None], np.abs(edge)[None, :], radius_px) * np.sign(np.outer(edge, edge))
    return _normalise(np.diff(np.diff(corner, axis=0), axis=1).clip(0))


def stretch(kernel: Float[np.ndarray, "m n"], factor: float) -> Float[np.ndarray, "k k"]:
    """The kernel `factor` times as wide, its centre of mass in the middle; of any size, also even.

    Interpolated by Keys' cubic (1981), which leaves second moments as they are and is widened to shrink.
    """
    kernel = np.asarray(kernel, np.float64) / np.sum(kernel)
    centres = centre_of_mass(kernel)
    reach = max(max(c, n - 1 - c) for c, n in zip(centres, kernel.shape, strict=True)) + 2 * max(1, 1 / factor)
    offset = np.arange(-math.floor(reach * factor), math.floor(reach * factor) + 1)
    weights = [
        cubic(np.abs(offset[:, None] / factor + c - np.arange(n)) * min(1, factor), -0.5)
        for c, n in zip(centres, kernel.shape, strict=True)
    ]
    return _normalise(weights[0] @ kernel @ weights[1].T)


def centre_of_mass(kernel: Float[np.ndarray, "m n"]) -> list[float]:
    """(y, x) of the centre of a kernel that sums to 1, in pixels from its first."""
    return [float((kernel.sum(1 - axis) * np.arange(kernel.shape[axis])).sum()) for axis in (0, 1)]


def cubic(distance: Float[np.ndarray, "n k"], a: float) -> Float[np.ndarray, "n k"]:
    """Keys' cubic convolution kernel (1981) at non-negative distances."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


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
    if kernel[middle, middle] == 0:
        return None
    column, row = kernel[:, middle], kernel[middle] / kernel[middle, middle]
    return (column, row) if np.abs(np.outer(column, row) - kernel).max() < 1e-7 else None


def _squared_distance(size: int, sigma_px: SigmaXY, theta: float) -> Float[np.ndarray, "k k"]:
    """Squared distance from the centre along the axes rotated by theta, in units of sigma."""
    offset = np.arange(size) - size // 2
    x, y = offset[None, :], offset[:, None]
    along = x * math.cos(theta) + y * math.sin(theta)
    across = y * math.cos(theta) - x * math.sin(theta)
    return (along / sigma_px[0]) ** 2 + (across / sigma_px[1]) ** 2


def _disk_area(x: Float[np.ndarray, "..."], y: Float[np.ndarray, "..."], radius: float) -> Float[np.ndarray, "..."]:
    """Area of the quarter disk within [0, x] x [0, y]."""
    x, y = np.minimum(x, radius), np.minimum(y, radius)
    left = np.minimum(np.sqrt(radius**2 - y**2), x)  # up to here the height is y, from here on it is the circle's

    def below_circle(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        return (x * np.sqrt(radius**2 - x**2) + radius**2 * np.arcsin(x / radius)) / 2

    return y * left + below_circle(x) - below_circle(left)


def _normalise(kernel: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    return (kernel / kernel.sum()).astype(np.float32)
