"""ITSRN's decoder ("Implicit Transformer Network for Screen Content Image Continuous Super-Resolution", NeurIPS 2021)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from realciao.archs.cells import AxisCells, in_cells, neighbours, tile_cells
from realciao.archs.decoders.separable import SeparableDecoder
from realciao.archs.decoders.tables import filter_table, filtered, take
from realciao.archs.mlp import MLP, Width, Widths
from realciao.coords import Frame
from realciao.registry import ARCH_REGISTRY


class Prepared(NamedTuple):
    """What the decoder keeps of one image (or tile)."""

    frame: Frame
    size: tuple[int, int]
    """Height and width of the tile."""
    filters: Float[Tensor, "b hw 3d1"]
    """See `filter_table`."""


@ARCH_REGISTRY.register()
class ITSRNDecoder(SeparableDecoder):
    """An implicit transformer: values are a cell's features, and what multiplies them follows from coordinates alone.

    The paper's: the query is the HR pixel's coordinate, the key that of an LR pixel, the value the LR pixel's features; a
    network turns (query - key, scale token) into the weights that take the value to a colour; an implicit position
    encoding then aggregates the colours of neighbouring keys with learned weights in place of areas.

    The rest follows its released configuration: the values are 3x3 unfolded; the keys are four cells at a shift of
    (1 - cell) / (n - 1), the same rule as CiaoSR's; coordinates and scale token (cell size, in cells) go in without an
    embedding of their own; to each of the four colours a network of (query - key) adds the same number in R, G and B; a
    last network makes each channel of its four values. Activations are GELU. It adds no residual and normalises by mean
    0.5 and standard deviation 0.5: `res: false`, `rgb_mean: [0.5, 0.5, 0.5]`, `rgb_std: [0.5, 0.5, 0.5]`. For a map of 64
    channels it has 0.645 M parameters, counted from that configuration.

    Args:
        feat_dim: channels of the encoder's map (given by the network).
        hidden: widths of the hidden layers of the network that makes the weights.
        position_hidden: width of the one hidden layer of each of the two networks of the position encoding.
    """

    reach_px = 2  # a neighbour of the query's cell, and the cells around that

    def __init__(self, feat_dim: int, hidden: Widths = (256, 256, 256, 256), position_hidden: Width = 256) -> None:
        super().__init__()
        self.imnet = MLP(4, 27 * feat_dim, hidden, nn.GELU)
        self.score = MLP(2, 1, (position_hidden,), nn.GELU)
        self.aggregate = MLP(4, 1, (position_hidden,), nn.GELU)

    def start_at_zero(self) -> None:
        """Makes every colour 0 until it is trained."""
        self.aggregate.start_at_zero()

    def prepare(
        self, feat: Float[Tensor, "b c h w"], lq: Float[Tensor, "b 3 h w"], frame: Frame, dense: bool
    ) -> Prepared:
        """Computes all that depends on the image alone; it costs as much as a quarter of a query a cell, the plain way."""
        return Prepared(frame, (feat.shape[2], feat.shape[3]), filter_table(feat, self.imnet.last))

    def locate(self, prepared: Prepared, axis: int, coord: Float[Tensor, "b n"], cell: Float[Tensor, "b"]) -> AxisCells:
        return tile_cells(coord, cell, axis, prepared.frame, prepared.size, "published", local_size=2)

    def decode(
        self, prepared: Prepared, rows: AxisCells, columns: AxisCells, cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b q 3"]:
        dtype = prepared.filters.dtype
        scale = in_cells(cell, prepared.frame)[:, None].to(dtype)
        colours = []
        for index, offset in neighbours(rows, columns, prepared.size[1]):
            offset = offset.to(dtype)
            hidden = self.imnet.layers[:-1](torch.cat([offset, scale.expand_as(offset)], dim=-1))
            colours.append(filtered(take(prepared.filters, index), hidden) + self.score(offset))
        return self.aggregate(torch.stack(colours, dim=-1))[..., 0]
