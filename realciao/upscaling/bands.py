"""A result made in bands of rows as they come: row of tiles after row of tiles, so that memory is that of one such row."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from realciao.coords import make_axis
from realciao.errors import UserError
from realciao.images.pixels import AnyImage, from_float, to_float
from realciao.machine.devices import is_out_of_memory
from realciao.upscaling.alpha import fill_hidden, sample_alpha
from realciao.upscaling.sizes import Size
from realciao.upscaling.tile import Dials, decode_tile
from realciao.upscaling.tile_size import SMALLEST_TILE_PX, choose_tile
from realciao.upscaling.tiling import Span, owned_outputs, split_axis

SMALLEST_ROWS = 256
"""Of a tile's output, where more would be too many bytes and the scale is above 8: there an encoder's halo costs little."""
BAND_BYTES = 64 * 2**20
"""Of a row of tiles' output, for wide images at large scales."""
DIAL_BYTES = 48
"""Of an output pixel where a tile is made as a whole, for a dial's sake: a few copies of its colours as floats."""

Progress = Callable[[int, int], None]
"""Called with the output pixels done so far and those wanted in all."""
Keep = tuple[tuple[int, int], tuple[int, int]]
"""The LR rows and the LR columns, each from and up to, of which the result is made."""


class TileBands(NamedTuple):
    """How a network is run on tiles."""

    net: Any
    device: torch.device
    dtype: torch.dtype
    dials: Dials
    tile_px: int | None
    """Edge of a tile in LR pixels, without its halo; 0 for the whole at once, None to choose."""
    halo_px: int
    fade_px: int
    """LR pixels on either side of a border over which tiles fade into each other; 0 for none."""

    def make(
        self, image: AnyImage, out_size: Size, keep: Keep, progress: Progress | None = None
    ) -> Iterator[Float[np.ndarray, "n wq c"] | AnyImage]:
        """The bands, from top to bottom; from one on that does not fit into memory, with tiles half as large.

        Args:
            image: HWC; see `Upscaler.upscale`.
            out_size: of the full result.
            keep: what of it is made.

        Raises:
            UserError: out of memory with the smallest tile, or a network that makes no numbers.
        """
        image = fill_hidden(image)
        side = max(image.shape[:2])
        tile_px = self.tile_px
        if tile_px is None:
            shape = (keep[0][1] - keep[0][0], keep[1][1] - keep[1][0])
            tile_px = choose_tile(self.net, self.device, self.dtype, shape, self.halo_px)
            if not tile_px and self.dials != Dials():
                tile_px = side  # all columns, but no more rows than _cut allows
        n, n_out = image.shape[0], out_size[0]
        (first, last), columns = keep
        (top, bottom), (left, right) = (
            owned_outputs(first, last, n, n_out),
            owned_outputs(*columns, image.shape[1], out_size[1]),
        )
        row, above = top, 0
        wanted = (bottom - top) * (right - left)

        def count(pixels: int) -> None:
            if progress:
                progress(min((start - top) * (right - left) + pixels, wanted), wanted)

        while True:
            start = row
            try:
                for band in self._bands(image, out_size, ((first, last), columns), tile_px, count):
                    made, above = band[above:], max(0, above - len(band))
                    row += len(made)
                    if len(made):
                        yield made
                return
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                tile_px = min(tile_px or side, side) // 2
                if tile_px < SMALLEST_TILE_PX:
                    raise UserError(
                        f"out of memory on {self.device}, with tiles of {2 * tile_px} pixels too; close other programs, "
                        "give a smaller scale, or another --device"
                    ) from error
            # on from the LR row that holds the centre of the next row of the result
            first = (2 * row + 1) * n // (2 * n_out)
            above = row - owned_outputs(first, last, n, n_out)[0]

    @torch.inference_mode()
    def _bands(
        self, image: AnyImage, out_size: Size, keep: Keep, tile_px: int, count: Callable[[int], None]
    ) -> Iterator[AnyImage]:
        """With tiles of one size; what the next row of tiles also makes waits for it."""
        rows_axis, columns_axis = self._cut(image, out_size, keep, tile_px)
        left, right = columns_axis[0].out_begin, columns_axis[-1].out_end
        fades, done = self.fade_px > 0, 0
        waiting = np.empty((0, right - left, image.shape[2]), np.float32)
        for rows, following in pairwise([*rows_axis, None]):
            assert rows is not None
            if len(columns_axis) == 1 and not fades:  # no tile beside it to wait for
                for _, pixels in self._decode(image, rows, columns_axis[0], out_size):
                    yield np.ascontiguousarray(from_float(pixels, image.dtype))
                    count(done := done + pixels.shape[0] * pixels.shape[1])
                continue
            shape = (rows.out_end - rows.out_begin, right - left, image.shape[2])
            buffer = np.zeros(shape, np.float32 if fades else image.dtype)
            buffer[: len(waiting)] = waiting
            for columns in columns_axis:
                for row, pixels in self._decode(image, rows, columns, out_size):
                    begin = row - rows.out_begin
                    part = buffer[begin : begin + len(pixels), columns.out_begin - left : columns.out_end - left]
                    if fades:
                        part += pixels * rows.weights()[begin:][: len(pixels), None, None] * columns.weights()[:, None]
                    else:
                        part[:] = from_float(pixels, image.dtype)
                    count(done := done + pixels.shape[0] * pixels.shape[1])
            final = (following.out_begin if following else rows.out_end) - rows.out_begin
            waiting = buffer[final:]
            yield from_float(buffer[:final], image.dtype) if fades else buffer[:final]

    def _cut(self, image: AnyImage, out_size: Size, keep: Keep, tile_px: int) -> tuple[list[Span], list[Span]]:
        """The tiles along rows and along columns, with fewer rows where their output would be too many bytes."""
        height, width, channels = image.shape
        row_bytes = out_size[1] * channels * image.itemsize
        if self.dials != Dials():
            row_bytes += min(tile_px, width) * out_size[1] // width * DIAL_BYTES
        most = int(BAND_BYTES / row_bytes * height / out_size[0])
        least = min(SMALLEST_TILE_PX, -(-SMALLEST_ROWS * height // out_size[0]))
        tiles = (min(tile_px, max(least, most)), tile_px)
        rows, columns = (
            split_axis(n, n_out, tile, self.halo_px, self.net.multiple, kept, self.fade_px)
            for n, n_out, tile, kept in zip((height, width), out_size, tiles, keep, strict=True)
        )
        return rows, columns

    def _decode(
        self, image: AnyImage, rows: Span, columns: Span, out_size: Size
    ) -> Iterator[tuple[int, Float[np.ndarray, "hq wq c"]]]:
        """The output pixels that one tile makes, in bands: the first row of each, and its pixels."""
        tile = to_float(image[rows.begin : rows.end, columns.begin : columns.end])
        has_alpha = tile.shape[2] in (2, 4)
        colour = tile[:, :, : tile.shape[2] - has_alpha]
        planes = np.broadcast_to(colour.transpose(2, 0, 1), (3, *colour.shape[:2]))
        lq = torch.from_numpy(np.array(planes, order="C"))[None].to(self.device, self.dtype)
        height, width = image.shape[:2]
        for row, pred in decode_tile(self.net, lq, rows, columns, (height, width), out_size, self.dials):
            pixels = pred.permute(1, 2, 0).cpu().numpy()
            if not np.isfinite(pixels).all():  # which would be black in a file
                cure = "its weights are broken" if self.dtype == torch.float32 else "give --fp32"
                raise UserError(f"the network makes values that are not finite numbers, in {self.dtype}; {cure}")
            pixels = pixels if colour.shape[2] == 3 else pixels.mean(axis=2, keepdims=True)
            if has_alpha:
                frame = (rows.begin, columns.begin, height, width)
                ys = make_axis(out_size[0])[row : row + len(pixels)]
                xs = make_axis(out_size[1])[columns.out_begin : columns.out_end]
                pixels = np.concatenate([pixels, sample_alpha(tile[:, :, -1], frame, ys, xs)], axis=2)
            yield row, pixels
