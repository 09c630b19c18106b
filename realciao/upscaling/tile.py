"""One tile of an image through the network: its output pixels, by rows; averaged over flips and turns, or made to agree."""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from realciao.archs.ciaosr_arch import is_dense
from realciao.coords import Frame, make_axis, make_cell
from realciao.upscaling.back_projection import REACH_PX, axis_matrices, back_project
from realciao.upscaling.tiling import Span, owned_outputs


class Dials(NamedTuple):
    """What is done beyond one pass of the network."""

    ensemble: bool = False
    """The mean over the eight flips and turns of the input (EDSR's geometric self-ensemble)."""
    back_projection: int = 0
    """How many times the result is made to agree with its input."""

    @property
    def halo_px(self) -> int:
        """LR pixels more that a tile must see on either side."""
        return 2 * REACH_PX * self.back_projection


def decode_tile(
    net: Any,
    lq: Float[Tensor, "1 3 h w"],
    rows: Span,
    columns: Span,
    size: tuple[int, int],
    out_size: tuple[int, int],
    dials: Dials,
) -> Iterator[tuple[int, Float[Tensor, "3 n wq"]]]:
    """The tile's output pixels in bands: the first row of each, and its colours, not clamped.

    Args:
        lq: the LR pixels of the spans.
        size: of the full LR image.
        out_size: of the full result.
    """  # fmt: skip
    if not dials.back_projection:
        yield from _decode(net, lq, rows, columns, size, out_size, dials.ensemble)
        return
    margin = REACH_PX * dials.back_projection
    wide_rows = _widen(rows, size[0], out_size[0], margin)
    wide_columns = _widen(columns, size[1], out_size[1], margin)
    bands = _decode(net, lq, wide_rows, wide_columns, size, out_size, dials.ensemble)
    pred = torch.cat([band for _, band in bands], dim=1)[None]
    matrices = [_matrices(span, size[i], out_size[i], pred) for i, span in enumerate((wide_rows, wide_columns))]
    pred = back_project(pred, lq.to(pred), matrices[0], matrices[1], dials.back_projection)[0]
    top, left = rows.out_begin - wide_rows.out_begin, columns.out_begin - wide_columns.out_begin
    height, width = rows.out_end - rows.out_begin, columns.out_end - columns.out_begin
    yield rows.out_begin, pred[:, top : top + height, left : left + width]


def _matrices(span: Span, n: int, n_out: int, like: Tensor) -> tuple[Tensor, Tensor]:
    up, down = axis_matrices((span.out_begin, span.out_end), n_out, (span.begin, span.end), n)
    return up.to(like), down.to(like)


def _widen(span: Span, n: int, n_out: int, margin: int) -> Span:
    """The outputs of so many LR pixels more on either side, as far as the tile goes."""
    first = max(0, int(span.out_begin * n / n_out) - margin)
    end = min(n, int(span.out_end * n / n_out) + 1 + margin)
    begin, stop = owned_outputs(max(first, span.begin), min(end, span.end), n, n_out)
    return span._replace(out_begin=min(begin, span.out_begin), out_end=max(stop, span.out_end))


def _decode(
    net: Any, lq: Float[Tensor, "1 3 h w"], rows: Span, columns: Span, size: tuple[int, int],
    out_size: tuple[int, int], ensemble: bool,
) -> Iterator[tuple[int, Float[Tensor, "3 n wq"]]]:  # fmt: skip
    frame = (rows.begin, columns.begin, *size)
    ys = make_axis(out_size[0])[rows.out_begin : rows.out_end].to(lq.device)
    xs = make_axis(out_size[1])[columns.out_begin : columns.out_end].to(lq.device)
    cell = make_cell(out_size, lq.device)[None]
    dense = is_dense(size, out_size, getattr(net, "map_scale", 1))
    if ensemble:
        yield rows.out_begin, _mean_of_eight(net, lq, frame, ys, xs, cell, dense)[0].float()
        return
    prepared = net.prepare(lq, frame=frame, dense=dense)
    row = rows.out_begin
    for band in net.decode(prepared, ys, xs, cell):
        yield row, band[0].float()
        row += band.shape[2]


def _mean_of_eight(
    net: Any,
    lq: Float[Tensor, "1 3 h w"],
    frame: Frame,
    ys: Float[Tensor, "hq"],
    xs: Float[Tensor, "wq"],
    cell: Float[Tensor, "1 2"],
    dense: bool,
) -> Float[Tensor, "1 3 hq wq"]:
    """A flipped tile lies in the flipped image, and is asked at the flipped coordinates."""  # fmt: skip
    total = torch.zeros((), device=lq.device)
    (top, left, height, width), (h, w) = frame, lq.shape[2:]
    for flip_y, flip_x, turn in product((False, True), repeat=3):
        dims = [axis for axis, flip in ((2, flip_y), (3, flip_x)) if flip]
        tile = lq.flip(dims)
        place = (height - top - h if flip_y else top, width - left - w if flip_x else left, height, width)
        y, x = -ys.flip(0) if flip_y else ys, -xs.flip(0) if flip_x else xs
        one_cell = cell
        if turn:
            tile, place = tile.transpose(2, 3), (place[1], place[0], width, height)
            y, x, one_cell = x, y, cell.flip(1)
        prepared = net.prepare(tile.contiguous(), frame=place, dense=dense)
        pred = torch.cat(list(net.decode(prepared, y, x, one_cell)), dim=2)
        total = total + (pred.transpose(2, 3) if turn else pred).flip(dims).float()
    return total / 8
