"""How a decoder weighs the four cells around each query, for a person to see."""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from realciao.archs.cells import area_weights, neighbours
from realciao.coords import make_axis, make_cell, scaled_size
from realciao.errors import UserError
from realciao.images.reading import to_array, to_tensor
from realciao.upscaling.tiling import split_axis

UNBOUNDED_HALO_PX = 32
QUERIES_PER_STEP = 2**14
MAX_QUERIES = 2**20
"""Of a region; 1024 x 1024 are more than a picture shows."""

Picture = Float[np.ndarray, "h w 3"]


class Ensemble(NamedTuple):
    """The queries of a region: h x w output pixels, of which each reads four LR pixels, row by row."""

    result: Picture
    """What the network makes of the region."""
    learned: Float[np.ndarray, "4 h w"]
    """The decoder's weights; they sum to 1."""
    area: Float[np.ndarray, "4 h w"]
    """LIIF's weights of the same LR pixels."""
    offset: Float[np.ndarray, "4 h w 2"]
    """(y, x) from the LR pixel's centre to the query, in LR pixels."""
    colour: Float[np.ndarray, "4 h w 3"]
    """The LR pixels."""


@torch.inference_mode()
def read_ensemble(net: nn.Module, image: Picture, scale: float, roi: tuple[int, int, int, int]) -> Ensemble:
    """The weights with which a network's decoder reads a region of an image, and what it makes of it.

    Args:
        net: a CiaoSR in evaluation mode whose decoder has `weigh` (see CiaoSRDecoder) and local size 2.
        image: float32 RGB in [0, 1].
        scale: of both axes.
        roi: (y0, x0, y1, x1) in pixels of `image`.

    Raises:
        UserError: the decoder learns no weights, or the region does not lie in the image, or has too many queries or none.
    """
    network: Any = net
    check_decoder(network.decoder)
    y0, x0, y1, x1 = check_roi(roi, image.shape[:2])
    size = scaled_size((image.shape[0], image.shape[1]), scale)
    halo = UNBOUNDED_HALO_PX if network.reach_px is None else network.reach_px
    spans = [
        split_axis(n, n_out, 0, halo, network.multiple, keep)
        for n, n_out, keep in zip(image.shape, size, ((y0, y1), (x0, x1)), strict=False)
    ]
    if not all(spans):  # a region smaller than an output pixel
        raise UserError(f"region {roi} holds no pixel of the result at scale {scale:g}")
    (rows,), (columns,) = spans
    tile = to_tensor(np.ascontiguousarray(image[rows.begin : rows.end, columns.begin : columns.end]))
    cell = make_cell(size)[None]
    ys = make_axis(size[0])[rows.out_begin : rows.out_end]
    xs = make_axis(size[1])[columns.out_begin : columns.out_end]
    if len(ys) * len(xs) > MAX_QUERIES:
        raise UserError(
            f"{len(xs)}x{len(ys)} pixels of the result are more than a picture shows; give a smaller region"
        )
    # tables for few queries: those for many would be made anew at each step
    prepared = network.prepare(tile, frame=(rows.begin, columns.begin, *image.shape[:2]), dense=False)
    result = torch.cat(list(network.decode(prepared, ys, xs, cell)), dim=2).clamp(0, 1)
    steps = [
        _weigh(network.decoder, prepared.decoder, tile, torch.cartesian_prod(band, xs), cell)
        for band in ys.split(max(1, QUERIES_PER_STEP // len(xs)))
    ]
    learned, area, offset, colour = (
        torch.cat(parts, dim=1).unflatten(1, (len(ys), len(xs))).numpy() for parts in zip(*steps, strict=True)
    )
    return Ensemble(to_array(result), learned, area, offset, colour)


def check_decoder(decoder: Any) -> None:
    """Raises UserError where a decoder has no weights to show."""
    if not hasattr(decoder, "weigh"):
        raise UserError(f"{type(decoder).__name__} learns no ensemble weights; give weights of a CiaoSRDecoder")
    if decoder.local_size != 2:
        raise UserError("the decoder reads one LR pixel a query (local_size 1): there is nothing to weigh")


def check_roi(roi: tuple[int, int, int, int], size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The region, if it lies in an image of `size`; UserError otherwise."""
    y0, x0, y1, x1 = roi
    if not (0 <= y0 < y1 <= size[0] and 0 <= x0 < x1 <= size[1]):
        raise UserError(f"region {roi} is not (y0, x0, y1, x1) with an area inside the image of {size[1]}x{size[0]}")
    return roi


def _weigh(
    decoder: Any, prepared: Any, tile: Float[Tensor, "1 3 h w"], coord: Float[Tensor, "q 2"], cell: Float[Tensor, "1 2"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows, columns = (decoder.locate(prepared, axis, coord[None, :, axis], cell[:, axis]) for axis in (0, 1))
    learned = decoder.weigh(prepared, rows, columns, cell)[:, 0]
    area = area_weights(rows.offset, columns.offset)[:, 0]
    around = list(neighbours(rows, columns, tile.shape[3]))
    offset = torch.stack([offset[0] / 2 for _, offset in around])  # a cell is 2
    pixels = tile[0].flatten(1).T
    colour = torch.stack([pixels[index[0]] for index, _ in around])
    return learned, area, offset, colour
