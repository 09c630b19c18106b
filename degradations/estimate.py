"""How noisy, how blurred and how blocky a photo is, judged from it alone: RGB in [0, 1] in, a number out.

A number that cannot be told (too small an image, no edges, all of it black) is nan.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float
from scipy import special

from degradations.jpeg import LUMINANCE, quality_tables

Image = Float[np.ndarray, "h w 3"]

BLOCK_PX = 8
"""Edge of the blocks that the noise is read from, and of JPEG's."""
FLAT_SHARE = 0.05
"""The part of the blocks, those that vary least, which is taken to hold nothing but noise."""
FINE_PX, COARSE_PX = 1.0, 2.0
"""Sigmas of the two Gaussians through which edges are looked at."""
MIN_EDGE_PIXELS = 16


def noise_sigma_8bit(image: Image) -> float:
    """Standard deviation of the noise in 8-bit levels, all three channels together.

    The blocks that vary least hold noise only (Lee and Hoppel, 1989), once a plane is taken away. Their variance is read
    at a low quantile: how far that lies below the mean is known for white noise. Within 8 px there is also the noise that
    resizing and JPEG have made coarse, to which differences of neighbours are blind. Texture everywhere counts as noise.
    """
    if min(image.shape[:2]) < BLOCK_PX:
        return math.nan
    variance = _block_variance(image * 255.0)
    clipped = _block_mean(((image < 0.5 / 255) | (image > 254.5 / 255)).astype(np.float64)) > 1e-9
    whole = [variance[..., c][~clipped[..., c]] for c in range(3)]
    freedom = BLOCK_PX**2 - 3
    low_by = 2 * special.gammaincinv(freedom / 2, FLAT_SHARE) / freedom  # the chi-squared quantile
    found = [np.quantile(values, FLAT_SHARE) / low_by for values in whole if values.size]
    return math.sqrt(np.mean(found)) if found else math.nan


def blur_sigma_px(image: Image) -> float:
    """Sigma of the Gaussian that blurs a typical edge of the image, its pixels' own footprint aside; 0 where sharpened.

    At a step edge blurred by sigma, a derivative of Gaussian of scale t finds a gradient in proportion to
    1 / sqrt(sigma^2 + t^2) (Elder and Zucker, 1998), so that the ratio at two scales tells sigma (Zhuo and Sim, 2011).
    The median counts over the stronger half of the edges that stand out from the noise.
    """
    if min(image.shape[:2]) < 16:
        return math.nan
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    noise = np.nan_to_num(noise_sigma_8bit(image)) / 255
    fine, coarse = _gradient(luma, FINE_PX), _gradient(luma, COARSE_PX)
    strength = np.hypot(*coarse)
    edge = _ridge(*coarse) & (strength > max(3 / 255, 6 * _gradient_noise(noise, COARSE_PX)))
    if np.count_nonzero(edge) < MIN_EDGE_PIXELS:
        return math.nan
    edge &= strength >= np.median(strength[edge])
    squared = np.hypot(*fine)[edge] ** 2 - _gradient_noise(noise, FINE_PX) ** 2
    ratio = np.maximum(squared / strength[edge] ** 2, 1 + 1e-3)
    variance = np.median((COARSE_PX**2 - ratio * FINE_PX**2) / (ratio - 1))
    # a pixel is a box of 1 px, and the difference of the next neighbours one of 2 px
    return math.sqrt(max(0.0, float(variance) - 1 / 12 - 4 / 12))


def blockiness(image: Image) -> float:
    """Mean step across the lines of JPEG's grid over the mean step elsewhere (after Wang, Sheikh and Bovik, 2002).

    1.0 to 1.1 without blocks, 1.3 to 2.4 at quality 30. The grid may begin anywhere, as it does in a cut-out: where the
    steps are largest counts.
    """
    if min(image.shape[:2]) < 4 * BLOCK_PX:
        return math.nan
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return math.sqrt(_grid_steps(luma) * _grid_steps(luma.T))


def jpeg_quality(luma_table: Sequence[int]) -> int:
    """The libjpeg quality, 1 to 100, whose luma quantisation table is nearest to that of a file.

    Cameras and editors have tables of their own, for which this is a comparison, not a fact.

    Args:
        luma_table: its 64 numbers, in any order.
    """
    known = quality_tables(LUMINANCE, range(1, 101)).sum(axis=1)
    return 1 + int(np.abs(known - sum(luma_table)).argmin())


def _block_mean(values: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "n m c"]:
    """Mean over blocks that overlap by half."""
    size, step = (BLOCK_PX, BLOCK_PX), BLOCK_PX // 2
    mean = cv2.blur(values, size, anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
    return mean[: len(mean) - BLOCK_PX + 1 : step, : mean.shape[1] - BLOCK_PX + 1 : step]


def _block_variance(levels: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "n m 3"]:
    """Variance within every block around the plane that fits it best, unbiased."""
    levels = levels.astype(np.float64) - 127.5
    y, x = np.mgrid[: levels.shape[0], : levels.shape[1]].astype(np.float64)[..., None]
    x, y = x - x.mean(), y - y.mean()
    mean, ones = _block_mean(levels), np.ones_like(levels)
    along_x = _block_mean(levels * x) - mean * _block_mean(ones * x)
    along_y = _block_mean(levels * y) - mean * _block_mean(ones * y)
    plane = (along_x**2 + along_y**2) / ((BLOCK_PX**2 - 1) / 12)
    rest = _block_mean(levels**2) - mean**2 - plane
    return np.maximum(rest, 0) * BLOCK_PX**2 / (BLOCK_PX**2 - 3)


def _gradient(luma: Float[np.ndarray, "h w"], sigma_px: float) -> Float[np.ndarray, "2 h w"]:
    """(dy, dx) of the smoothed image."""
    smooth = cv2.GaussianBlur(luma, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    return np.stack(np.gradient(smooth))


def _gradient_noise(noise: float, sigma_px: float) -> float:
    """Standard deviation of one component of the smoothed gradient of white noise, of all of its channels at worst."""
    return noise / (math.sqrt(8 * math.pi) * sigma_px**2)


def _ridge(dy: Float[np.ndarray, "h w"], dx: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Where the gradient is larger than on both sides along its direction, the border left out."""
    strength = np.hypot(dy, dx)
    direction = np.rint(np.arctan2(dy, dx) / (math.pi / 4)).astype(int) % 4
    ridge = np.zeros(strength.shape, bool)
    for number, shift in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        before, after = (np.roll(strength, (sign * shift[0], sign * shift[1]), (0, 1)) for sign in (1, -1))
        ridge |= (direction == number) & (strength >= before) & (strength > after)
    margin = math.ceil(3 * COARSE_PX)
    inner = np.zeros_like(ridge)
    inner[margin:-margin, margin:-margin] = True
    return ridge & inner


def _grid_steps(luma: Float[np.ndarray, "h w"]) -> float:
    """The largest mean step between columns 8 px apart over the mean step between the others."""
    steps = np.abs(np.diff(luma, axis=1)).mean(axis=0)
    by_phase = np.array([steps[phase::BLOCK_PX].mean() for phase in range(BLOCK_PX)])
    grid = int(by_phase.argmax())
    # half a level, so that a flat image is about 1
    return float((by_phase[grid] + 0.5 / 255) / (np.delete(by_phase, grid).mean() + 0.5 / 255))
