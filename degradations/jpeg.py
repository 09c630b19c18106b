"""JPEG in torch, step by step what libjpeg's encoder and decoder do to the pixels (ITU-T T.81, and libjpeg's choices).

What libjpeg rounds is rounded here, with the gradient going through as if it were not; only within its cosine transforms
and colour conversions are floats used for its integers. Entropy coding loses nothing and is left out.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from degradations.pixels import LUMA
from degradations.tensors import rounded, through, to_8bit_levels

SUBSAMPLINGS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}
"""How many pixels share one chroma value along y and x."""

# ITU-T T.81, Annex K.1: row by row, the vertical frequency counts the rows
LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    *[99] * 32,
)  # fmt: skip

TO_YCC = (LUMA, (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))  # JFIF 1.02
TO_RGB = ((1, 0, 1.402), (1, -0.344136286, -0.714136286), (1, 1.772, 0))


def jpeg(images: Float[Tensor, "b 3 h w"], quality: Sequence[int], subsampling: str) -> Float[Tensor, "b 3 h w"]:
    """What becomes of images, RGB in [0, 1], that are written and read as JPEG, each with its quality.

    Args:
        images: clipped and rounded to 8 bits first.
        quality: 1 to 100 as libjpeg counts it; below and above count as 1 and 100.
        subsampling: of the chroma, a key of SUBSAMPLINGS.

    Returns:
        Values on the 8-bit grid of [0, 1].
    """
    by, bx = SUBSAMPLINGS[subsampling]
    height, width = images.shape[-2:]
    # all planes are kept around zero, as the transform wants them
    ycc = _mix(to_8bit_levels(images), TO_YCC)
    luma, chroma = rounded(ycc[:, :1]).sub(128), rounded(ycc[:, 1:])
    luma = _quantised(luma, quality_tables(LUMINANCE, quality))
    chroma = _quantised(_shrunk(chroma, by, bx), quality_tables(CHROMINANCE, quality))
    chroma = _enlarged(chroma[..., : -(-width // bx)], by, bx)[:, :, :height, :width]
    rgb = rounded(_mix(torch.cat([luma, chroma], 1), TO_RGB))
    return rgb.clamp(-128, 127).add_(128).div_(255)


def quality_tables(base: Sequence[int], quality: Sequence[int]) -> Float[np.ndarray, "b 64"]:
    """libjpeg's quantisation table for each quality: whole numbers from 1 to 255."""
    q = np.clip(np.asarray(quality, int), 1, 100)
    percent = np.where(q < 50, 5000 // q, 200 - 2 * q)
    return np.clip((np.asarray(base) * percent[:, None] + 50) // 100, 1, 255).astype(np.float32)


def _quantised(plane: Float[Tensor, "b c h w"], tables: Float[np.ndarray, "b 64"]) -> Float[Tensor, "b c h w"]:
    """Cosine transform of blocks of 8 x 8, quantised, and back to whole numbers -128..127."""
    height, width = plane.shape[-2:]
    plane = _filled(plane, 8, 8)
    b, c, rows, columns = plane.shape
    blocks = plane.view(b, c, rows // 8, 8, columns // 8, 8).transpose(3, 4).reshape(b, -1, 64)
    cosines = torch.from_numpy(_cosines()).to(plane)
    table = torch.from_numpy(tables).to(plane)[:, None]
    # libjpeg has coefficients as whole eighths; it rounds halves away from zero, torch to even, so a nudge decides them
    eighths = rounded(blocks @ (8 * cosines.T))
    levels = rounded(eighths * ((1 + 1e-6) / (8 * table)))
    blocks = (levels * table) @ cosines
    plane = blocks.view(b, c, rows // 8, columns // 8, 8, 8).transpose(3, 4).reshape(b, c, rows, columns)
    return rounded(plane[:, :, :height, :width]).clamp(-128, 127)


@cache
def _cosines() -> Float[np.ndarray, "64 64"]:
    """The cosine transform of a block of 8 x 8 as one orthonormal matrix: a single product is faster than two of 8 x 8."""
    place = (2 * np.arange(8) + 1) * math.pi / 16
    axis = np.cos(np.arange(8)[:, None] * place) / 2
    axis[0] = math.sqrt(1 / 8)
    return np.kron(axis, axis).astype(np.float32)


def _shrunk(chroma: Float[Tensor, "b 2 h w"], by: int, bx: int) -> Float[Tensor, "b 2 h2 w2"]:
    """Means of `by` x `bx` pixels; halves are rounded down and up in turn. To the right the edge fills the last block."""
    if bx == 1:
        return chroma
    mean = F.avg_pool2d(_filled(chroma, by, 16), (by, bx))
    odd = torch.arange(mean.shape[3], device=mean.device) % 2
    mean.add_((1 + odd) / 4 if by == 2 else odd / 2)
    return through(mean.floor(), mean)


def _enlarged(chroma: Float[Tensor, "b 2 h w"], by: int, bx: int) -> Float[Tensor, "b 2 h2 w2"]:
    """libjpeg's "fancy" upsampling: along each axis 3/4 of the nearer value and 1/4 of the farther, which is bilinear."""
    if bx == 1:
        return chroma
    if chroma.shape[3] <= 2:  # too narrow for it, libjpeg finds
        return chroma.repeat_interleave(by, 2).repeat_interleave(bx, 3)
    mean = F.interpolate(chroma, scale_factor=(by, bx), mode="bilinear")
    odd = torch.arange(mean.shape[3], device=mean.device) % 2
    mean.add_((8 - odd) / 16 if by == 2 else (1 + odd) / 4)
    return through(mean.floor(), mean)


def _filled(plane: Float[Tensor, "b c h w"], by: int, bx: int) -> Float[Tensor, "b c h2 w2"]:
    """To multiples of `by` and `bx`, the last row and column repeated."""
    height, width = plane.shape[-2:]
    missing = (0, -width % bx, 0, -height % by)
    return F.pad(plane, missing, mode="replicate") if any(missing) else plane


def _mix(planes: Float[Tensor, "b 3 h w"], matrix: Sequence[Sequence[float]]) -> Float[Tensor, "b 3 h w"]:
    return (planes.new_tensor(matrix) @ planes.flatten(2)).view(planes.shape)
