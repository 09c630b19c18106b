"""How long BSRGAN's own degradation takes at least: its dominant steps, timed, times how often an image meets them.

The released code (scale 4) draws, per image: with probability 1/4 it halves the image first and goes on with a scale of 2.
Then, in random order, two blurs and a downsampling by 1/U[1, 2 scale] (probability 3/4) or, after a blur with a shifted
25 x 25 kernel, by every scale-th pixel (1/4); and always after that one a resize to the LR size. Kernels of the two blurs
are 7, 9, ..., 25 px wide, 289 = 17^2 taps on average, and anisotropic, hence made tap by tap, with probability 1/2.
All else (noise, resizing, JPEG) is counted as nothing.
"""

from typing import NamedTuple

MEAN_KERNEL = 17
"""Edge of the kernel with the mean number of taps of 7, 9, ..., 25."""
SHIFTED_KERNEL = 25
BLURS = 2
HALVED = 1 / 4
ANISOTROPIC = 1 / 2
SHIFTED = 1 / 4


class Calls(NamedTuple):
    """How often an image meets a step, on average; a convolution of a smaller image counts as its share of pixels."""

    kernel: float
    """Of MEAN_KERNEL, tap by tap."""
    blur: float
    """By MEAN_KERNEL."""
    shifted_blur: float
    """By SHIFTED_KERNEL."""


def calls() -> Calls:
    """At scale 4."""
    whole, half = _areas(4), _areas(2) / 4
    return Calls(
        kernel=BLURS * ANISOTROPIC,
        blur=BLURS * ((1 - HALVED) * whole + HALVED * half),
        shifted_blur=SHIFTED * ((1 - HALVED) + HALVED / 4),
    )


def _areas(scale: int) -> float:
    """The expected share of pixels that a blur meets: before, between and after the two downsamplings, equally likely."""
    # the mean of 1 / u^2 over u in [1, 2 scale] is 1 / (2 scale)
    between = (1 - SHIFTED) / (2 * scale) + SHIFTED / scale**2
    return (1 + between + 1 / scale**2) / 3
