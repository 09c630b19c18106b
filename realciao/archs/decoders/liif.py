"""LIIF's decoder ("Learning Continuous Image Representation with Local Implicit Image Function", CVPR 2021)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from realciao.archs.cells import AxisCells, area_weights, in_cells, neighbours, tile_cells
from realciao.archs.decoders.separable import SeparableDecoder
from realciao.archs.decoders.tables import after_table, hidden_table, take
from realciao.archs.mlp import MLP, Widths
from realciao.coords import Frame
from realciao.registry import ARCH_REGISTRY


class Prepared(NamedTuple):
    """What the decoder keeps of one image (or tile)."""

    frame: Frame
    size: tuple[int, int]
    """Height and width of the tile."""
    hidden: Float[Tensor, "b hw d"]
    """The features' share of the MLP's first layer."""


@ARCH_REGISTRY.register()
class LIIFDecoder(SeparableDecoder):
    """One MLP reads a cell's 3x3 features, the query's place relative to it and the HR pixel's size; four cells are blended.

    As published: feature unfolding, cell decoding and local ensemble on; parameter names are those of the released
    checkpoints (`imnet.layers.*`). There the network around it adds no residual and normalises by mean 0.5 and standard
    deviation 0.5: `res: false`, `rgb_mean: [0.5, 0.5, 0.5]`, `rgb_std: [0.5, 0.5, 0.5]`.

    Args:
        feat_dim: channels of the encoder's map (given by the network).
        hidden: widths of the MLP's hidden layers.
    """

    reach_px = 2  # a neighbour of the query's cell, and the cells around that

    def __init__(self, feat_dim: int, hidden: Widths = (256, 256, 256, 256)) -> None:
        super().__init__()
        self.imnet = MLP(9 * feat_dim + 4, 3, hidden)

    def start_at_zero(self) -> None:
        """Makes every colour 0 until it is trained."""
        self.imnet.start_at_zero()

    def prepare(
        self, feat: Float[Tensor, "b c h w"], lq: Float[Tensor, "b 3 h w"], frame: Frame, dense: bool
    ) -> Prepared:
        """Computes all that depends on the image alone; it pays for any number of queries."""
        return Prepared(frame, (feat.shape[2], feat.shape[3]), hidden_table(self.imnet, feat))

    def locate(self, prepared: Prepared, axis: int, coord: Float[Tensor, "b n"], cell: Float[Tensor, "b"]) -> AxisCells:
        return tile_cells(coord, cell, axis, prepared.frame, prepared.size, "liif", local_size=2)

    def decode(
        self, prepared: Prepared, rows: AxisCells, columns: AxisCells, cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b q 3"]:
        dtype = prepared.hidden.dtype
        scale = in_cells(cell, prepared.frame)[:, None].to(dtype)
        exact = torch.promote_types(dtype, torch.float32)
        weights = area_weights(rows.offset.to(exact), columns.offset.to(exact))
        colours = []
        for index, offset in neighbours(rows, columns, prepared.size[1]):
            place = torch.cat([offset.to(dtype), scale.expand_as(offset)], dim=-1)
            colours.append(after_table(self.imnet, take(prepared.hidden, index), place))
        return (weights[..., None] * torch.stack(colours)).sum(dim=0)
