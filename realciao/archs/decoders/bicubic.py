"""Bicubic interpolation behind the interface of a decoder, as a baseline."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from realciao.archs.cells import in_tile
from realciao.archs.decoders.separable import SeparableDecoder
from realciao.archs.decoders.tables import as_rows, take
from realciao.archs.resampling import cubic
from realciao.coords import Frame
from realciao.registry import ARCH_REGISTRY


class Prepared(NamedTuple):
    """The image (or tile)."""

    frame: Frame
    size: tuple[int, int]
    image: Float[Tensor, "b hw 3"]
    """One row a pixel."""


class Taps(NamedTuple):
    """The four pixels around each query along one axis."""

    tap: Int[Tensor, "4 b q"]
    weight: Float[Tensor, "4 b q"]


@ARCH_REGISTRY.register()
class BicubicDecoder(SeparableDecoder):
    """Interpolates the image itself (a = -0.5, Pillow's and MATLAB's kernel); it has no parameters, so it cannot be trained.

    Its encoder is `IdentityEncoder`, and the network around it adds no residual: `res: false`. Beyond the image's border
    there is nothing, and the weights inside make up for it. Below scale 1 it does not average.
    """

    reach_px = 2

    def __init__(self, feat_dim: int) -> None:
        super().__init__()
        if feat_dim != 3:
            raise ValueError(f"it interpolates images, not maps of {feat_dim} channels; its encoder is IdentityEncoder")

    def prepare(
        self, feat: Float[Tensor, "b 3 h w"], lq: Float[Tensor, "b 3 h w"], frame: Frame, dense: bool
    ) -> Prepared:
        return Prepared(frame, (feat.shape[2], feat.shape[3]), as_rows(feat))

    def locate(self, prepared: Prepared, axis: int, coord: Float[Tensor, "b n"], cell: Float[Tensor, "b"]) -> Taps:
        n = prepared.frame[2 + axis]
        position = ((coord.float() + 1) * n - 1) / 2
        first = position.floor()
        index = torch.stack([first + step for step in (-1, 0, 1, 2)])
        weight = cubic(index - position) * ((index >= 0) & (index < n))
        return Taps(in_tile(index.long(), prepared.frame[axis], prepared.size[axis]), weight / weight.sum(dim=0))

    def decode(
        self, prepared: Prepared, rows: Taps, columns: Taps, cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b q 3"]:
        width = prepared.size[1]
        result = torch.zeros((), device=cell.device)
        for y, weight_y in zip(rows.tap, rows.weight, strict=True):
            for x, weight_x in zip(columns.tap, columns.weight, strict=True):
                result = result + (weight_y * weight_x)[..., None] * take(prepared.image, y * width + x)
        return result
