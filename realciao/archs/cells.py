"""Which LR cells a query reads: the nearest one, and its neighbours, one axis at a time.

A cell is a pixel of the feature map. All of it is float32 and one-dimensional, so that a grid of H x W queries costs H
+ W, and a tile, which works in the frame of the full image, picks the cells that the whole image would.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from realciao.coords import Frame, make_axis

NeighbourRule = Literal["published", "liif"]

EPS = 1e-6  # as published: keeps a query on a cell's border, and one on the image's, on the same side everywhere


class AxisCells(NamedTuple):
    """What queries read along one axis of n cells: the cell that holds each, and its k neighbours (k = 1 or 2)."""

    nearest: Int[Tensor, "b q"]
    neighbour: Int[Tensor, "k b q"]
    offset: Float[Tensor, "k b q"]
    """From the neighbour's centre to the query, one cell being 2."""


def nearest_cell(coord: Float[Tensor, "*q"], n: int) -> Int[Tensor, "*q"]:
    """Index of the cell, of n in [-1, 1], nearest to each coordinate.

    grid_sample itself decides, because a tie (every other query at scales 1.5, 2.5, ...) falls by its rounding.
    """
    ramp = torch.arange(n, device=coord.device, dtype=torch.float32).view(1, 1, n, 1)
    grid = F.pad(coord.reshape(1, 1, -1, 1), (1, 0))  # (x, y) with x = 0, the middle of the ramp's single column
    index = F.grid_sample(ramp, grid, mode="nearest", padding_mode="border", align_corners=False)
    return index.view(coord.shape).long()


def axis_cells(
    coord: Float[Tensor, "b q"], cell: Float[Tensor, "b"], n: int, rule: NeighbourRule, local_size: int
) -> AxisCells:
    """The cells that queries at `coord` read on an axis of n cells, where an HR pixel measures `cell`.

    The neighbours are the cells nearest to coord -/+ a shift. `published` is the released CiaoSR's shift (1 - cell) /
    (n - 1): half a cell at scale 2, less below and more above, so that at odd scales a query on a cell's centre skips
    that cell. `liif` is LIIF's 1 / n, half a cell at any scale. On an axis of one cell any shift leads to it; with
    `local_size` 1 the nearest cell is all there is.
    """
    coord, cell = coord.float(), cell.float()
    nearest = nearest_cell(coord, n)
    if local_size == 1:
        neighbour = nearest[None]
    else:
        gaps = cast(int, torch.sym_max(n - 1, 1))  # not max(): in a graph for all sizes n is a symbol
        shift = 1 / (gaps / (1 - cell)) if rule == "published" else torch.full_like(cell, 1 / n)
        shifted = torch.stack([coord - shift[:, None] + EPS, coord + shift[:, None] + EPS])
        neighbour = nearest_cell(shifted.clamp(-1 + EPS, 1 - EPS), n)
    return AxisCells(nearest, neighbour, (coord - make_axis(n, coord.device)[neighbour]) * n)


def tile_cells(
    coord: Float[Tensor, "b q"],
    cell: Float[Tensor, "b"],
    axis: int,
    frame: Frame,
    size: tuple[int, int],
    rule: NeighbourRule,
    local_size: int,
) -> AxisCells:
    """`axis_cells` on axis 0 (y) or 1 (x) of the full image, as indices into the tile of `size` that lies at `frame`."""
    cells = axis_cells(coord, cell, frame[2 + axis], rule, local_size)
    nearest, neighbour = (in_tile(index, frame[axis], size[axis]) for index in cells[:2])
    return AxisCells(nearest, neighbour, cells.offset)


def in_tile(index: Int[Tensor, "*q"], origin: int, n: int) -> Int[Tensor, "*q"]:
    """Indices of the full image as those of a tile of n pixels from `origin` on.

    A query whose cells lie outside the tile is the caller's error, but it must not read other memory.
    """
    return (index - origin).clamp(0, n - 1)


def in_cells(cell: Float[Tensor, "b 2"], frame: Frame) -> Float[Tensor, "b 2"]:
    """Height and width of an HR pixel in the units of the offsets, of which a cell has 2: 2 / s at scale s."""
    return torch.stack([extent * n for extent, n in zip(cell.unbind(dim=1), frame[2:], strict=True)], dim=1)


def neighbours(
    rows: AxisCells, columns: AxisCells, width: int
) -> Iterator[tuple[Int[Tensor, "b q"], Float[Tensor, "b q 2"]]]:
    """The cells around each query in a tile `width` wide, row by row: index (row-major), and offset (y, x) to the query."""
    for y, offset_y in zip(rows.neighbour, rows.offset, strict=True):
        for x, offset_x in zip(columns.neighbour, columns.offset, strict=True):
            yield y * width + x, torch.stack([offset_y, offset_x], dim=-1)


def area_weights(ys: Float[Tensor, "2 b q"], xs: Float[Tensor, "2 b q"]) -> Float[Tensor, "4 b q"]:
    """LIIF's local ensemble: each of the four neighbours weighs as the rectangle between the query and the opposite one.

    Args:
        ys: offsets of the queries from the upper and from the lower neighbours.
        xs: from the left and from the right ones.
    """
    area = (ys[:, None] * xs[None]).abs() + 1e-9  # with one cell on either axis, all four might be 0
    return (area.flip(0, 1) / area.sum(dim=(0, 1))).flatten(0, 1)
