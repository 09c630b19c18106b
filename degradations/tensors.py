"""What the steps share that work on batches of tensors, b 3 h w, RGB in about [0, 1]."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

BLOCK = 64
"""Outputs of a banded matrix that are computed at once: more are wasted on zeros, fewer on calls."""


def through(value: Float[Tensor, "*n"], x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """`value` with the gradient of `x`: for roundings, whose own gradient is zero (Bengio et al., 2013)."""
    return value.detach() + (x - x.detach()) if x.requires_grad else value


def rounded(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """To the nearest whole number. Where no gradient is wanted `x` itself is overwritten: give it a temporary."""
    return through(x.round(), x) if x.requires_grad else x.round_()


def to_8bit_levels(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """[0, 1] to whole numbers 0..255, still float32; the gradient passes the rounding and stops where it clips."""
    return rounded(images.clamp(0, 1).mul_(255))


def seeded(seed: int, device: torch.device) -> torch.Generator:
    """The generator of a noise field; its numbers are the same for one device and version of torch."""
    return torch.Generator(device).manual_seed(seed)


def mirrored(index: Int[Tensor, "*n"], n: int) -> Int[Tensor, "*n"]:
    """Any index into an axis of `n` pixels, mirrored at its ends without repeating them (OpenCV's reflect-101)."""
    period = max(2 * n - 2, 1)
    index = index.abs() % period
    return torch.minimum(index, period - index) if n > 1 else torch.zeros_like(index)


def mirror_padded(images: Float[Tensor, "b c h w"], reach: int) -> Float[Tensor, "b c h2 w2"]:
    """`reach` more pixels on every side, mirrored also where the image has fewer."""
    height, width = images.shape[-2:]
    if reach < min(height, width):
        return F.pad(images, (reach,) * 4, mode="reflect")
    y, x = (mirrored(torch.arange(-reach, n + reach, device=images.device), n) for n in (height, width))
    return images[:, :, y][:, :, :, x]


def band_matmul(
    matrix: Float[Tensor, "b n_out n_in"], reach: float, images: Float[Tensor, "b c h w"], axis: int
) -> Float[Tensor, "b c h2 w2"]:
    """The images' matrices along one axis, 2 (down) or 3 (across), block by block, as nearly all of them is zero.

    Args:
        matrix: zero where an input lies further than `reach` pixels from its output's place, (j + 0.5) n_in / n_out - 0.5.
    """
    n_out, n_in = matrix.shape[1:]
    ratio = n_in / n_out
    done = []
    for start in range(0, n_out, BLOCK):
        low = max(math.floor((start + 0.5) * ratio - 0.5 - reach), 0)
        high = math.ceil((start + BLOCK - 0.5) * ratio - 0.5 + reach) + 1
        band, part = matrix[:, None, start : start + BLOCK, low:high], images.narrow(axis, low, min(high, n_in) - low)
        done.append(band @ part if axis == 2 else part @ band.mT)
    return torch.cat(done, axis) if len(done) > 1 else done[0]
