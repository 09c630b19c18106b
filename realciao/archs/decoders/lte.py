"""LTE's decoder ("Local Texture Estimator for Implicit Representation Function", CVPR 2022)."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from realciao.archs.cells import AxisCells, area_weights, in_cells, neighbours, tile_cells
from realciao.archs.decoders.separable import SeparableDecoder
from realciao.archs.decoders.tables import as_rows, take
from realciao.archs.mlp import MLP, Width, Widths
from realciao.coords import Frame
from realciao.errors import OptionError
from realciao.registry import ARCH_REGISTRY


class Prepared(NamedTuple):
    """What the decoder keeps of one image (or tile)."""

    frame: Frame
    size: tuple[int, int]
    """Height and width of the tile."""
    texture: Float[Tensor, "b hw 2d"]
    """A row a cell: d amplitudes, then d / 2 vertical and d / 2 horizontal frequencies, in radians per half cell."""


@ARCH_REGISTRY.register()
class LTEDecoder(SeparableDecoder):
    """Each cell has amplitudes and frequencies of waves; an MLP reads their values at the query; four cells are blended.

    The phase follows from the HR pixel's size. Parameter names are those of the released checkpoints (`coef`, `freq`,
    `phase`, `imnet.layers.*`). There the network around it adds the bilinear residual and normalises by mean 0.5 and
    standard deviation 0.5: `res: true`, `rgb_mean: [0.5, 0.5, 0.5]`, `rgb_std: [0.5, 0.5, 0.5]`.

    Args:
        feat_dim: channels of the encoder's map (given by the network).
        hidden_dim: amplitudes of a cell, a cosine and a sine for each frequency: even.
        hidden: widths of the MLP's hidden layers.
    """

    reach_px = 2  # a neighbour of the query's cell, and the cells around that

    def __init__(self, feat_dim: int, hidden_dim: Width = 256, hidden: Widths = (256, 256, 256)) -> None:
        super().__init__()
        if hidden_dim % 2:
            raise OptionError("hidden_dim", f"must be even, for as many cosines as sines, got {hidden_dim}")
        self.coef = nn.Conv2d(feat_dim, hidden_dim, 3, padding=1)
        self.freq = nn.Conv2d(feat_dim, hidden_dim, 3, padding=1)
        self.phase = nn.Linear(2, hidden_dim // 2, bias=False)
        self.imnet = MLP(hidden_dim, 3, hidden)

    def start_at_zero(self) -> None:
        """Makes every colour 0 until it is trained."""
        self.imnet.start_at_zero()

    def prepare(
        self, feat: Float[Tensor, "b c h w"], lq: Float[Tensor, "b 3 h w"], frame: Frame, dense: bool
    ) -> Prepared:
        """Computes all that depends on the image alone; it pays for any number of queries."""
        angular = math.pi * self.freq(feat)
        # the published frequencies alternate between the axes
        texture = torch.cat([self.coef(feat), angular[:, 0::2], angular[:, 1::2]], dim=1)
        return Prepared(frame, (feat.shape[2], feat.shape[3]), as_rows(texture))

    def locate(self, prepared: Prepared, axis: int, coord: Float[Tensor, "b n"], cell: Float[Tensor, "b"]) -> AxisCells:
        return tile_cells(coord, cell, axis, prepared.frame, prepared.size, "liif", local_size=2)

    def decode(
        self, prepared: Prepared, rows: AxisCells, columns: AxisCells, cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b q 3"]:
        dtype = prepared.texture.dtype
        exact = torch.promote_types(dtype, torch.float32)  # for the waves' arguments
        scale = in_cells(cell, prepared.frame)
        phase = math.pi * self.phase(scale.to(self.phase.weight.dtype))[:, None].to(exact)
        weights = area_weights(rows.offset.to(exact), columns.offset.to(exact))
        d = self.coef.out_channels
        colours = []
        for index, offset in neighbours(rows, columns, prepared.size[1]):
            amplitude, freq_y, freq_x = take(prepared.texture, index).split([d, d // 2, d // 2], dim=-1)
            angle = freq_y * offset[..., :1].to(exact) + freq_x * offset[..., 1:].to(exact) + phase
            waves = amplitude * torch.cat([angle.cos(), angle.sin()], dim=-1).to(dtype)
            colours.append(self.imnet(waves))
        return (weights[..., None] * torch.stack(colours)).sum(dim=0)
