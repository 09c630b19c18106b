"""Meta-SR's decoder ("Meta-SR: A Magnification-Arbitrary Network for Super-Resolution", CVPR 2019)."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from realciao.archs.cells import EPS, in_tile, nearest_cell
from realciao.archs.decoders.separable import SeparableDecoder
from realciao.archs.decoders.tables import filter_table, filtered, take
from realciao.archs.mlp import MLP, Width
from realciao.coords import Frame, make_axis
from realciao.registry import ARCH_REGISTRY


class Prepared(NamedTuple):
    """What the decoder keeps of one image (or tile)."""

    frame: Frame
    size: tuple[int, int]
    """Height and width of the tile."""
    filters: Float[Tensor, "b hw 3d1"]
    """See `filter_table`."""


class Corner(NamedTuple):
    """Where the HR pixels' upper left corners lie along one axis."""

    nearest: Int[Tensor, "b q"]
    """The cell that holds it."""
    offset: Float[Tensor, "b q"]
    """From the cell's own corner, in cells: 0 to 1."""


@ARCH_REGISTRY.register()
class MetaSRDecoder(SeparableDecoder):
    """A small network predicts, from where an HR pixel lies in its cell, the 3x3 filters that make its colour.

    With r the scale and i the HR row, the paper's cell is floor(i / r), and the network reads i / r - floor(i / r), the
    same of the column, and 1 / r: distances of upper left corners. In the continuous form, which is that of LIIF's own
    baseline, the corner of the pixel at `coord` is coord - cell / 2. Its 1 / r is that of the rows alone, so it does not
    know of a scale that differs between the axes. There the network around it adds no residual and normalises by mean
    0.5 and standard deviation 0.5: `res: false`, `rgb_mean: [0.5, 0.5, 0.5]`, `rgb_std: [0.5, 0.5, 0.5]`.

    Args:
        feat_dim: channels of the encoder's map (given by the network).
        hidden: width of the network's one hidden layer.
    """

    reach_px = (
        2  # at scales of 1 and above: the corner lies in the query's cell or the one before; and the cells around that
    )

    def __init__(self, feat_dim: int, hidden: Width = 256) -> None:
        super().__init__()
        self.imnet = MLP(3, 27 * feat_dim, (hidden,))

    def start_at_zero(self) -> None:
        """Makes every colour 0 until it is trained."""
        self.imnet.start_at_zero()

    def prepare(
        self, feat: Float[Tensor, "b c h w"], lq: Float[Tensor, "b 3 h w"], frame: Frame, dense: bool
    ) -> Prepared:
        """Computes all that depends on the image alone; it costs as much as one query a cell, the plain way."""
        return Prepared(frame, (feat.shape[2], feat.shape[3]), filter_table(feat, self.imnet.last))

    def locate(self, prepared: Prepared, axis: int, coord: Float[Tensor, "b n"], cell: Float[Tensor, "b"]) -> Corner:
        n = prepared.frame[2 + axis]
        corner = coord.float() - cell.float()[:, None] / 2
        index = nearest_cell((corner + EPS).clamp(-1 + EPS, 1 - EPS), n)
        corners = make_axis(n, coord.device) - 1 / n
        offset = (corner - corners[index]) * (n / 2)
        return Corner(in_tile(index, prepared.frame[axis], prepared.size[axis]), offset)

    def decode(
        self, prepared: Prepared, rows: Corner, columns: Corner, cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b q 3"]:
        inverse_scale = (cell[:, :1] * (prepared.frame[2] / 2)).expand_as(rows.offset)
        place = torch.stack([rows.offset, columns.offset, inverse_scale], dim=-1).to(prepared.filters.dtype)
        index = rows.nearest * prepared.size[1] + columns.nearest
        return filtered(take(prepared.filters, index), self.imnet.layers[:-1](place))
