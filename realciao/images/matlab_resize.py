"""MATLAB's imresize with its bicubic kernel, by which the low-resolution images of Set5, Set14, DIV2K and others were made.

The kernel is Keys's (1981) with a = -0.5, widened for shrinking; beyond the edge the image is mirrored, edge pixel included.
"""

import math
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from scipy.sparse import csr_array

Rounding = Literal["each_pass", "final"]


def resize_levels(
    image: UInt8[np.ndarray, "h w c"], size: tuple[int, int], rounding: Rounding = "each_pass"
) -> UInt8[np.ndarray, "H W c"]:
    """The 8-bit image at another height and width, 8-bit again.

    Args:
        image: any number of channels.
        size: height and width of the result.
        rounding: "each_pass" rounds between the two axes as well, which makes SwinIR's LR images of Set5 at x2, x3 and x4 bit
            for bit; "final" rounds once, which makes those at x8.
    """
    result = image.astype(np.float64)
    for axis in _order(image.shape[:2], size):
        result = _resize_axis(result, axis, size[axis])
        if rounding == "each_pass":
            result = _round(result)
    return _round(result).astype(np.uint8)


def resize_float(image: Float[np.ndarray, "h w c"], size: tuple[int, int]) -> Float[np.ndarray, "H W c"]:
    """The image at another height and width, float32, neither rounded nor clipped."""
    result = image.astype(np.float64)
    for axis in _order(image.shape[:2], size):
        result = _resize_axis(result, axis, size[axis])
    return result.astype(np.float32)


def _order(old: tuple[int, ...], new: tuple[int, int]) -> list[int]:
    """MATLAB begins with the axis that shrinks more; with the rows where both are equal."""
    return sorted((0, 1), key=lambda axis: new[axis] / old[axis])


def _resize_axis(image: Float[np.ndarray, "h w c"], axis: int, n_out: int) -> Float[np.ndarray, "h2 w2 c"]:
    lines = np.moveaxis(image, axis, 0)
    result = axis_matrix(lines.shape[0], n_out) @ lines.reshape(lines.shape[0], -1)
    return np.moveaxis(result.reshape(n_out, *lines.shape[1:]), 0, axis)


def axis_matrix(n_in: int, n_out: int) -> csr_array:
    """The (n_out, n_in) matrix, float64, that resizes one axis; its rows sum to 1."""
    scale = n_out / n_in
    stretch = max(1 / scale, 1.0)
    centre = (np.arange(n_out) + 0.5) / scale - 0.5
    first = np.floor(centre - 2 * stretch).astype(int)
    index = first[:, None] + np.arange(math.ceil(4 * stretch) + 2)
    weight = _cubic((centre[:, None] - index) / stretch)
    weight /= weight.sum(axis=1, keepdims=True)
    mirrored = index % (2 * n_in)
    mirrored = np.where(mirrored < n_in, mirrored, 2 * n_in - 1 - mirrored)
    rows = np.repeat(np.arange(n_out), index.shape[1])
    return csr_array((weight.ravel(), (rows, mirrored.ravel())), shape=(n_out, n_in))


def _cubic(x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def _round(levels: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c"]:
    return np.floor(levels.clip(0, 255) + 0.5)  # halves go up, unlike NumPy's rounding
