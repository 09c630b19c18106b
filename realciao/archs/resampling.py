"""An image read at any coordinates by an antialiased bicubic filter, in exact geometry.

The kernel is Keys' with a = -0.5 (MATLAB's and Pillow's bicubic). Where an output pixel is larger than a pixel of the image,
the kernel is as much wider, so that nothing folds back; where it is smaller, this is plain interpolation. Beyond the image's
border there is nothing, and the weights inside make up for it. An output that has the image's own pixels is the image, exactly.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from realciao.archs.cells import in_tile
from realciao.coords import Frame

MOST_LR_PX = 2
"""An output pixel larger than this many LR pixels is averaged over so many only: this bounds what a query reads."""
REACH_PX = 2 * MOST_LR_PX + 1
"""How far a query reads, in LR pixels."""
EXACT_PX = 2**-9
"""Tolerance for rounding: an output pixel this close to one of the image's, in place or in size, is taken to be that one."""


class Taps(NamedTuple):
    """The pixels that queries read along one axis of a tile."""

    pixel: Int[Tensor, "b q k"]
    weight: Float[Tensor, "b q k"]


def cubic(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Keys' kernel with a = -0.5."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def find_taps(
    coord: Float[Tensor, "b q"], cell: Float[Tensor, "b"], axis: int, frame: Frame, size: int, scale: int
) -> Taps:
    """What queries at `coord`, each as large as `cell`, read along axis 0 (y) or 1 (x).

    Args:
        coord: in [-1, 1] of the full image.
        cell: extent of an output pixel, in the same units.
        axis: of the frame.
        frame: of the tile, in pixels of the image that is read.
        size: pixels of the tile along the axis.
        scale: pixels of the image per LR pixel.
    """
    n = frame[2 + axis]
    position = ((coord.float() + 1) * n - 1) / 2
    whole = position.round()
    position = torch.where((position - whole).abs() < EXACT_PX, whole, position)
    width = (cell.float() * n / 2).clamp(1, MOST_LR_PX * scale)[:, None, None]
    width = torch.where(width < 1 + EXACT_PX, 1.0, width)
    count = 2 * math.ceil(2 * float(width.max())) + 1
    first = whole - count // 2
    index = first[..., None] + torch.arange(count, device=coord.device)
    weight = cubic((index - position[..., None]) / width) * ((index >= 0) & (index < n))
    weight = weight / weight.sum(dim=-1, keepdim=True)
    return Taps(in_tile(index.long(), frame[axis], size), weight)


def sample_points(image: Float[Tensor, "b c h w"], rows: Taps, columns: Taps) -> Float[Tensor, "b c q"]:
    """The values of q queries, located on both axes."""
    b, c, _, w = image.shape
    flat = image.flatten(2)
    total = torch.zeros(b, c, rows.pixel.shape[1], device=image.device, dtype=image.dtype)
    for k in range(rows.pixel.shape[2]):
        index = rows.pixel[:, :, k, None] * w + columns.pixel
        pixels = flat.gather(2, index.flatten(1)[:, None].expand(-1, c, -1)).view(b, c, *index.shape[1:])
        total = total + (pixels * (rows.weight[:, :, k, None] * columns.weight)[:, None]).sum(dim=-1)
    return total


def sample_grid(image: Float[Tensor, "b c h w"], rows: Taps, columns: Taps) -> Float[Tensor, "b c hq wq"]:
    """The values on the grid of rows and columns."""
    (top, bottom), (left, right) = _bounds(rows), _bounds(columns)
    part = image[:, :, top:bottom, left:right]
    down = _matrix(rows, top, bottom).to(image.dtype)[:, None] @ part
    return down @ _matrix(columns, left, right).to(image.dtype)[:, None].transpose(2, 3)


def sample(
    image: Float[Tensor, "b c h w"],
    coord: Float[Tensor, "b hq wq 2"],
    cell: Float[Tensor, "b 2"],
    scale: int,
    frame: Frame | None = None,
) -> Float[Tensor, "b c hq wq"]:
    """The image at coordinates of the full image's frame: random points, or, quicker, a grid of rows and columns.

    Args:
        image: a tile, or the whole.
        coord: (y, x) in [-1, 1], see realciao/batch.py.
        cell: extent of an output pixel in the same units.
        scale: pixels of `image` per LR pixel.
        frame: of the tile in pixels of `image`; None for the whole.
    """
    h, w = image.shape[2:]
    frame = frame or (0, 0, h, w)
    b, hq, wq, _ = coord.shape
    ys, xs = coord[..., 0], coord[..., 1]
    exact = torch.promote_types(image.dtype, torch.float32)
    image = image.to(exact)
    if hq > 1 and wq > 1 and bool((ys == ys[:, :, :1]).all()) and bool((xs == xs[:, :1]).all()):
        rows = find_taps(ys[:, :, 0], cell[:, 0], 0, frame, h, scale)
        return sample_grid(image, rows, find_taps(xs[:, 0], cell[:, 1], 1, frame, w, scale))
    rows = find_taps(ys.reshape(b, -1), cell[:, 0], 0, frame, h, scale)
    columns = find_taps(xs.reshape(b, -1), cell[:, 1], 1, frame, w, scale)
    return sample_points(image, rows, columns).view(b, -1, hq, wq)


def _bounds(taps: Taps) -> tuple[int, int]:
    used = taps.pixel[taps.weight != 0]
    return int(used.min()), int(used.max()) + 1


def _matrix(taps: Taps, first: int, end: int) -> Float[Tensor, "b q n"]:
    b, q, _ = taps.pixel.shape
    matrix = torch.zeros(b, q, end - first, device=taps.weight.device)
    inside = (taps.pixel - first).clamp(0, end - first - 1)
    return matrix.scatter_add_(2, inside, taps.weight)
