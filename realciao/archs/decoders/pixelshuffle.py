"""The upsamplers that EDSR, RDN and SwinIR were published with: convolutions and pixel shuffle, for one scale."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from realciao.archs.cells import in_tile, nearest_cell
from realciao.archs.decoders.separable import SeparableDecoder
from realciao.archs.decoders.tables import as_rows, take
from realciao.archs.mlp import Width
from realciao.coords import Frame
from realciao.errors import OptionError, UserError
from realciao.registry import ARCH_REGISTRY


class Prepared(NamedTuple):
    """The image (or tile), upscaled."""

    frame: Frame
    size: tuple[int, int]
    """Height and width of the tile, in LR pixels."""
    image: Float[Tensor, "b hw 3"]
    """One row an HR pixel."""


class Pixels(NamedTuple):
    """The HR pixels that queries read along one axis."""

    nearest: Int[Tensor, "b q"]


@ARCH_REGISTRY.register()
class PixelShuffleDecoder(SeparableDecoder):
    """Makes the whole image at one scale; a query reads the HR pixel that holds it. Any other scale is refused.

    Parameter names are BasicSR's. BasicSR's EDSR works on RGB in [0, 255]: the network around it has `rgb_std: [s, s, s]`
    with s = 0.00392156862745098 (1 / 255), SwinIR's and RDN's 1; none adds a residual: `res: false`.

    Args:
        feat_dim: channels of the encoder's map (given by the network).
        scale: of both axes.
        num_feat: channels of the upsampler, behind a convolution and a LeakyReLU of its own (SwinIR: 64); null for
            the encoder's channels and no such convolution (EDSR, RDN).
    """

    def __init__(self, feat_dim: int, scale: int, num_feat: Width | None = None) -> None:
        super().__init__()
        if scale not in (2, 3, 4, 8):
            raise OptionError("scale", f"must be 2, 3, 4 or 8, got {scale}")
        self.scale = scale
        # however large the scale: one LR pixel for the first convolution of the upsampler, one for the later ones together
        self.reach_px = 2 if num_feat is None else 3
        if num_feat is None:
            self.conv_before_upsample: nn.Module = nn.Identity()
        else:
            convolution = nn.Conv2d(feat_dim, num_feat, 3, padding=1)
            self.conv_before_upsample = nn.Sequential(convolution, nn.LeakyReLU(inplace=True))
        from basicsr.archs.arch_util import Upsample  # here, because it takes seconds

        self.upsample = Upsample(scale, num_feat or feat_dim)
        self.conv_last = nn.Conv2d(num_feat or feat_dim, 3, 3, padding=1)

    def prepare(
        self, feat: Float[Tensor, "b c h w"], lq: Float[Tensor, "b 3 h w"], frame: Frame, dense: bool
    ) -> Prepared:
        """Makes all HR pixels."""
        image = self.conv_last(self.upsample(self.conv_before_upsample(feat)))
        return Prepared(frame, (feat.shape[2], feat.shape[3]), as_rows(image))

    def locate(self, prepared: Prepared, axis: int, coord: Float[Tensor, "b n"], cell: Float[Tensor, "b"]) -> Pixels:
        """Raises UserError where `cell` tells of another scale."""
        n = prepared.frame[2 + axis]
        self._check_scale(cell, n)
        index = nearest_cell(coord.float(), n * self.scale)
        return Pixels(in_tile(index, prepared.frame[axis] * self.scale, prepared.size[axis] * self.scale))

    def decode(
        self, prepared: Prepared, rows: Pixels, columns: Pixels, cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b q 3"]:
        return take(prepared.image, rows.nearest * prepared.size[1] * self.scale + columns.nearest)

    def _check_scale(self, cell: Float[Tensor, "b"], n: int) -> None:
        if torch.compiler.is_compiling():  # a graph knows shapes but no values
            return
        for extent in cell.tolist():
            if abs(2 / extent - n * self.scale) > 0.5:
                raise UserError(
                    f"the network upscales by {self.scale} and nothing else, and was asked for {2 / extent / n:.4g}: "
                    f"{n} pixels become {n * self.scale}, not {2 / extent:.4g}"
                )
