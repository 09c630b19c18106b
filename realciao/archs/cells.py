"""Which LR cells a query reads: the nearest one, and its neighbours, one axis at a time.

A cell is a pixel of the feature map. All of it is float32 and one-dimensional, so that a grid of H x W queries costs H
+ W, and a tile, which works in the frame of the full image, picks the cells that the whole image would.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from realciao.coords import make_axis

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
    that cell. `liif` is LIIF's 1 / n, half a cell at any scale. An axis of one cell has no shift; with `local_size` 1
    the nearest cell is all there is.
    """
    coord, cell = coord.float(), cell.float()
    nearest = nearest_cell(coord, n)
    if local_size == 1:
        neighbour = nearest[None]
    else:
        if n == 1:
            shift = torch.zeros_like(cell)
        elif rule == "published":
            shift = 1 / ((n - 1) / (1 - cell))
        else:
            shift = torch.full_like(cell, 1 / n)
        shifted = torch.stack([coord - shift[:, None] + EPS, coord + shift[:, None] + EPS])
        neighbour = nearest_cell(shifted.clamp(-1 + EPS, 1 - EPS), n)
    return AxisCells(nearest, neighbour, (coord - make_axis(n, coord.device)[neighbour]) * n)
