"""The network: an encoder, a decoder, and what lies around them (mean and standard deviation, the bilinear residual)."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from realciao.archs.resampling import REACH_PX, sample
from realciao.coords import Frame, make_axis, make_cell, scale_frame, to_tile
from realciao.errors import OptionError
from realciao.registry import ARCH_REGISTRY, build, complete

QUERIES_PER_BAND = 2**16
"""Queries of a band of rows: what a decoder makes for a band must not weigh much beside it, nor beside the whole image."""


def is_dense(lq_size: Sequence[int], size: Sequence[int], map_scale: int = 1) -> bool:
    """Whether so many queries come to a cell of the map that a decoder's tables pay: about 2 for CiaoSR's."""
    return math.prod(size) > 2 * math.prod(lq_size) * map_scale**2


class Prepared(NamedTuple):
    """One image (or tile), encoded: all that its queries need."""

    lq: Float[Tensor, "b 3 h w"]
    """Normalised."""
    frame: Frame
    decoder: Any
    base: Float[Tensor, "b 3 bh bw"] | None = None
    """The image that the encoder makes, `base_scale` times as large; the residual is read from it."""


@ARCH_REGISTRY.register()
class CiaoSR(nn.Module):
    """Super-resolution at any scale: RGB in, RGB out, in the same range.

    Args:
        encoder: spec of a class that maps an LR image to features, e.g. {"type": "EDSREncoder"}.
        decoder: spec of a class that maps features and coordinates to colours, e.g. {"type": "CiaoSRDecoder"}.
        res: adds the bilinearly interpolated LR image to the prediction (the released real-world configurations do not). Where
            the encoder makes a larger image (TrunkEncoder with `at: map`), that one is added, through an antialiased bicubic
            filter.
        rgb_mean: subtracted from the input and added to the output.
        rgb_std: divides the input and multiplies the output.
        zero_start: an untrained decoder gives 0, so that training starts from the residual alone.
    """

    def __init__(
        self,
        encoder: dict[str, Any],
        decoder: dict[str, Any],
        res: bool = True,
        rgb_mean: tuple[float, float, float] = (0.4488, 0.4371, 0.4040),
        rgb_std: tuple[float, float, float] = (1.0, 1.0, 1.0),
        zero_start: bool = False,
    ) -> None:
        super().__init__()
        if min(rgb_std) <= 0:
            raise OptionError("rgb_std", f"must be above 0, got {list(rgb_std)}")
        self.mean: Tensor
        self.std: Tensor
        self.encoder: Any = build(ARCH_REGISTRY, encoder, "encoder")
        runtime = {"feat_dim": self.encoder.out_dim}
        self.decoder: Any = build(ARCH_REGISTRY, decoder, "decoder", **runtime)
        if zero_start:
            if not hasattr(self.decoder, "start_at_zero"):
                raise OptionError("zero_start", f"{decoder['type']} cannot start at zero; leave zero_start out")
            self.decoder.start_at_zero()
        self.spec = {
            "type": "CiaoSR",
            "encoder": complete(ARCH_REGISTRY, encoder),
            "decoder": complete(ARCH_REGISTRY, decoder, **runtime),
            "res": res,
            "rgb_mean": list(rgb_mean),
            "rgb_std": list(rgb_std),
        }
        if zero_start:
            self.spec["zero_start"] = True
        self.res = res
        self.register_buffer("mean", torch.tensor(rgb_mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(rgb_std).view(1, 3, 1, 1), persistent=False)

    @property
    def multiple(self) -> int:
        """The grid, in LR pixels, on which tiles must begin."""
        return self.encoder.multiple

    @property
    def reach_px(self) -> int | None:
        """How far an LR pixel can influence the result, in LR pixels; None where there is no bound."""
        if self.encoder.reach_px is None or self.decoder.reach_px is None:
            return None
        decoder = math.ceil(self.decoder.reach_px / self.map_scale)
        return self.encoder.reach_px + (max(decoder, REACH_PX) if self.base_scale else decoder)

    @property
    def map_scale(self) -> int:
        """Cells of the encoder's map per LR pixel, along an axis."""
        return getattr(self.encoder, "map_scale", 1)

    @property
    def base_scale(self) -> int | None:
        """Pixels per LR pixel of the image that the encoder makes, from which the residual is read; None without one."""
        return getattr(self.encoder, "base_scale", None) if self.res else None

    def forward(
        self,
        lq: Float[Tensor, "b 3 h w"],
        coord: Float[Tensor, "b hq wq 2"],
        cell: Float[Tensor, "b 2"],
        kept: Float[Tensor, "b k kh kw"] | None = None,
    ) -> Float[Tensor, "b 3 hq wq"]:
        """Colours at `coord` (see realciao/batch.py); not clamped, so that gradients live everywhere.

        Args:
            kept: what `encoder.keep` made of `lq` before, to be used again.
        """
        return self.query(self.prepare(lq, dense=False, kept=kept), coord, cell)

    def prepare(
        self,
        lq: Float[Tensor, "b 3 h w"],
        frame: Frame | None = None,
        dense: bool = True,
        kept: Float[Tensor, "b k kh kw"] | None = None,
    ) -> Prepared:
        """Encodes an image, or a tile of one, once for any number of queries.

        Args:
            lq: RGB in [0, 1].
            frame: (top, left, H, W): the tile's origin and the size of the full image, in LR pixels; None for a whole image.
                Coordinates of later queries are always those of the full image.
            dense: many queries per LR pixel will follow, so that tables pay.
            kept: see `forward`.
        """
        frame = frame or (0, 0, lq.shape[2], lq.shape[3])
        lq = ((lq - self.mean) / self.std).contiguous(memory_format=torch.channels_last)  # convolutions are faster so
        encoded = self.encoder(lq) if kept is None else self.encoder.resume(kept, lq)
        feat, base = encoded if isinstance(encoded, tuple) else (encoded, None)
        # to the decoder, a cell of the map is what an LR pixel is elsewhere
        return Prepared(lq, frame, self.decoder.prepare(feat, lq, scale_frame(frame, self.map_scale), dense), base)

    def query(
        self, prepared: Prepared, coord: Float[Tensor, "b hq wq 2"], cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 hq wq"]:
        """Colours at any coordinates."""
        return self._finish(self.decoder.query(prepared.decoder, coord, cell), prepared, coord, cell)

    def query_grid(
        self, prepared: Prepared, ys: Float[Tensor, "hq"], xs: Float[Tensor, "wq"], cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 hq wq"]:
        """Colours on the grid of two axes of coordinates."""
        coord = torch.stack(torch.meshgrid(ys, xs, indexing="ij"), dim=-1)
        pred = self.decoder.query_grid(prepared.decoder, ys, xs, cell)
        return self._finish(pred, prepared, coord.expand(len(pred), -1, -1, -1), cell)

    def _finish(
        self,
        pred: Float[Tensor, "b 3 hq wq"],
        prepared: Prepared,
        coord: Float[Tensor, "b hq wq 2"],
        cell: Float[Tensor, "b 2"],
    ) -> Float[Tensor, "b 3 hq wq"]:
        """Adds the residual and undoes the normalisation."""
        if self.base_scale and prepared.base is not None:
            base_frame = scale_frame(prepared.frame, self.base_scale)
            pred = pred + sample(prepared.base, coord, cell, self.base_scale, base_frame)
        elif self.res:
            height, width = prepared.lq.shape[2:]
            # coord is (y, x), grid_sample wants (x, y); in half precision it would be off by whole pixels
            grid = to_tile(coord, prepared.frame, (height, width)).flip(-1)
            exact = torch.promote_types(prepared.lq.dtype, torch.float32)
            pred = pred + F.grid_sample(
                prepared.lq.to(exact), grid.to(exact), padding_mode="border", align_corners=False
            )
        return pred * self.std + self.mean

    def decode(
        self, prepared: Prepared, ys: Float[Tensor, "hq"], xs: Float[Tensor, "wq"], cell: Float[Tensor, "b 2"]
    ) -> Iterator[Float[Tensor, "b 3 band wq"]]:
        """`query_grid` in bands of rows, top to bottom."""
        for band in ys.split(max(1, QUERIES_PER_BAND // len(xs))):
            parts = [self.query_grid(prepared, band, part, cell) for part in xs.split(QUERIES_PER_BAND)]
            yield torch.cat(parts, dim=3)

    @torch.inference_mode()
    def upscale(self, lq: Float[Tensor, "b 3 h w"], size: tuple[int, int]) -> Float[Tensor, "b 3 H W"]:
        """The whole image at `size` (height, width), clamped to [0, 1]."""
        prepared = self.prepare(lq, dense=is_dense(lq.shape[2:], size, self.map_scale))
        ys, xs = make_axis(size[0], lq.device), make_axis(size[1], lq.device)
        cell = make_cell(size, lq.device).expand(len(lq), -1)
        return torch.cat(list(self.decode(prepared, ys, xs, cell)), dim=2).clamp(0, 1)
