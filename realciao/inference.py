"""Upscales images of any kind and size: tiles in, bands of rows out, so that memory stays bounded."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from realciao.alpha import fill_hidden, sample_alpha
from realciao.archs.steps import step_sizes
from realciao.checkpoint import blend_weights, load_weights
from realciao.coords import make_axis
from realciao.devices import Dtype, choose_device, choose_dtype, is_out_of_memory
from realciao.errors import UserError
from realciao.photo_writer import Bands
from realciao.pixels import AnyImage, from_float, to_float
from realciao.sizes import Roi, Size, SizeError, check_roi, count_pixels, output_size
from realciao.tile_decoding import Dials, decode_tile
from realciao.tile_memory import SMALLEST_TILE_PX, choose_tile
from realciao.tiling import Span, owned_outputs, split_axis

SHIPPED_WEIGHTS = ("real", "classical")
"""The first removes what wears photos, the second takes them as they are."""
MAX_EXACT_HALO_PX = 64
"""Networks that reach further (RDN, SwinIR, global attention) get the halo and fade below, unless one is asked for: with all
of its reach around it, a tile's encoder would do many times the work."""
SHORT_HALO_PX = 32
FADE_PX = 8
"""On either side of a border between tiles that only come close to the whole."""
SMALLEST_ROWS = 256
"""Of a tile's output, where more would be too many bytes and the scale is above 8: there an encoder's halo costs little."""
BAND_BYTES = 64 * 2**20
"""Of a row of tiles' output, for wide images at large scales."""
DIAL_BYTES = 48
"""Of an output pixel where a tile is made as a whole, for a dial's sake: a few copies of its colours as floats."""
MAX_BACK_PROJECTION = 50

Progress = Callable[[int, int], None]
"""Called with the output pixels done so far and those wanted in all."""


class Upscaler:
    """A network and how it is run on whole photos.

    Args:
        net: as realciao.build_network makes; it is moved to the device and put into evaluation mode.
        device: "auto" (CUDA, else MPS, else CPU) or a torch device.
        tile_px: edge of a tile in LR pixels, without its halo; 0 for the whole image at once, None to choose by the image and
            the memory there is.
        halo_px: LR pixels that a tile sees beyond its edge; None for what the network reaches, so that tiles equal the
            whole, or SHORT_HALO_PX if that is more than MAX_EXACT_HALO_PX. With less than it reaches, tiles come close, and
            fade into each other.
        dtype: "auto" (bfloat16 on CUDA devices that have it, else float32), "float32", "bfloat16" or "float16".
        ensemble: the mean over eight flips and turns of the image, in eight times the time.
        back_projection: how many times what the result, shrunk again (bicubic), lacks of the input is added to it.
    """

    def __init__(
        self,
        net: nn.Module,
        device: str | torch.device = "auto",
        tile_px: int | None = None,
        halo_px: int | None = None,
        *,
        dtype: Dtype = "auto",
        ensemble: bool = False,
        back_projection: int = 0,
    ) -> None:
        for name, value in (("tile_px", tile_px), ("halo_px", halo_px), ("back_projection", back_projection)):
            if value is not None and value < 0:
                raise UserError(f"{name} is {value}; give 0 or more")
        if back_projection > MAX_BACK_PROJECTION:
            raise UserError(f"back_projection is {back_projection}; give at most {MAX_BACK_PROJECTION}, 3 is enough")
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.net: Any = net.to(self.device, self.dtype).eval()
        self.dials = Dials(ensemble, back_projection)
        self.tile_px = tile_px
        reach = self.net.reach_px
        usual = reach if reach is not None and reach <= MAX_EXACT_HALO_PX else SHORT_HALO_PX
        halo = usual if halo_px is None else halo_px
        self.fade_px = min(FADE_PX, halo // 2) if reach is None or halo < reach else 0
        self.halo_px = halo + self.dials.halo_px

    @classmethod
    def from_file(
        cls,
        weights: str | Path | Sequence[str | Path] | None = None,
        device: str | torch.device = "auto",
        tile_px: int | None = None,
        halo_px: int | None = None,
        *,
        denoise: float | None = None,
        **options: Any,
    ) -> "Upscaler":
        """An upscaler with the weights named "real" or "classical", or of a file that training wrote.

        Args:
            weights: a name or a path; two of one network, stage 1's and stage 2's, to lie between them; None for "real", and
                with `denoise` for both that ship.
            denoise: between two weights: 1 for the first (smooth), 0 for the second (sharp).
            options: further ones of the constructor.

        Raises:
            UserError: no such weights, not a weights file, or no such device.
        """
        if weights is None:
            weights = SHIPPED_WEIGHTS[0] if denoise is None else SHIPPED_WEIGHTS
        files = [weights] if isinstance(weights, str | Path) else list(weights)
        nets = [load_weights(find_weights(file)) for file in files]
        if len(nets) != (1 if denoise is None else 2):
            raise UserError(
                "denoise lies between two weights: give two, and a number from 0 to 1; or one, and no denoise"
            )
        try:
            net = nets[0] if denoise is None else blend_weights(nets[1], nets[0], denoise)
        except UserError as error:
            raise UserError(f"denoise: {error}") from error
        return cls(net, device, tile_px, halo_px, **options)

    def upscale(
        self,
        image: AnyImage,
        scale: float | tuple[float, float] | None = None,
        *,
        size: Size | None = None,
        roi: Roi | None = None,
        max_step: float | None = None,
        progress: Progress | None = None,
    ) -> AnyImage:
        """The image at another size, of the same kind: grey stays grey, alpha alpha, uint16 uint16.

        Alpha is interpolated (bicubic) beside the colours; colours under a wholly transparent pixel are not kept.

        Args:
            image: HW or HWC; grey, RGB, either with alpha; uint8, uint16, or float32 in [0, 1].
            scale: of both axes, or (scale_y, scale_x); the result has max(1, round(n * scale)) pixels an axis.
            size: height and width of the result, in place of `scale`.
            roi: (y0, x0, y1, x1) in pixels of `image`: only the part of the result whose pixel centres lie there is
                made, equal to that part of the whole.
            max_step: enlarge by so much at a time at most: a larger scale is reached in several steps (the paper's multi-step
                synthesis), unrounded in between.
            progress: called after every band of rows, in each step anew.

        Raises:
            SizeError: both or none of scale and size, or one that is no size, too large, or empty.
            UserError: not an image, or out of memory with the smallest tile; the latter when the bands are asked for.
        """
        return self.upscale_bands(image, scale, size=size, roi=roi, max_step=max_step, progress=progress).join()

    def upscale_bands(
        self,
        image: AnyImage,
        scale: float | tuple[float, float] | None = None,
        *,
        size: Size | None = None,
        roi: Roi | None = None,
        max_step: float | None = None,
        progress: Progress | None = None,
    ) -> Bands:
        """`upscale`, in bands of rows that are made as they are asked for: memory is that of a row of tiles."""
        _check_image(image)
        height, width = image.shape[:2]
        out_size = output_size((height, width), scale, size)
        if max_step is not None:
            count_pixels(*out_size)
            steps = step_sizes((height, width), out_size, max_step)
            if roi and len(steps) > 1:
                raise SizeError(f"a region cannot be made in {len(steps)} steps; leave max_step out")
            if len(steps) > 1:
                return Bands((*out_size, *image.shape[2:]), image.dtype, self._in_steps(image, steps, progress))
        keep = check_roi(roi, (height, width))
        top, bottom = owned_outputs(*keep[0], height, out_size[0])
        left, right = owned_outputs(*keep[1], width, out_size[1])
        count_pixels(bottom - top, right - left)
        flat = image.ndim == 2
        shape = (bottom - top, right - left) if flat else (bottom - top, right - left, image.shape[2])
        rows = self._retry(image[:, :, None] if flat else image, out_size, keep, progress)
        return Bands(shape, image.dtype, (band[:, :, 0] for band in rows) if flat else rows)

    def _in_steps(self, image: AnyImage, steps: Sequence[Size], progress: Progress | None) -> Iterator[AnyImage]:
        exact = to_float(image)
        for step in steps[:-1]:
            exact = self.upscale(exact, size=step, progress=progress)
        for band in self.upscale_bands(exact, size=steps[-1], progress=progress).rows:
            yield from_float(band, image.dtype)

    def _retry(
        self, image: AnyImage, out_size: Size, keep: tuple[tuple[int, int], ...], progress: Progress | None
    ) -> Iterator[AnyImage]:
        """The bands; from one on that does not fit into memory, with tiles half as large."""
        image = fill_hidden(image)
        tile_px = self.tile_px
        if tile_px is None:
            shape = (keep[0][1] - keep[0][0], keep[1][1] - keep[1][0])
            tile_px = choose_tile(self.net, self.device, self.dtype, shape, self.halo_px)
            if not tile_px and self.dials != Dials():
                tile_px = max(image.shape[:2])  # all columns, but no more rows than _cut allows
        (first, last), columns = keep
        n, n_out = image.shape[0], out_size[0]
        row, above = owned_outputs(first, last, n, n_out)[0], 0
        while True:
            try:
                for band in self._bands(image, out_size, ((first, last), columns), tile_px, progress):
                    made, above = band[above:], max(0, above - len(band))
                    row += len(made)
                    if len(made):
                        yield made
                return
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                tile_px = (tile_px or max(image.shape[:2])) // 2
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
        self,
        image: AnyImage,
        out_size: Size,
        keep: tuple[tuple[int, int], ...],
        tile_px: int,
        progress: Progress | None,
    ) -> Iterator[AnyImage]:
        """Row of tiles after row of tiles; what the next one also makes waits for it."""
        rows_axis, columns_axis = self._cut(image, out_size, keep, tile_px)
        left, right = columns_axis[0].out_begin, columns_axis[-1].out_end
        wanted, done = (rows_axis[-1].out_end - rows_axis[0].out_begin) * (right - left), 0
        fades = self.fade_px > 0

        def count(pixels: np.ndarray) -> None:
            nonlocal done
            done += pixels.shape[0] * pixels.shape[1]
            if progress:
                progress(min(done, wanted), wanted)

        waiting = np.empty((0, right - left, image.shape[2]), np.float32)
        for rows, following in pairwise([*rows_axis, None]):
            assert rows is not None
            if len(columns_axis) == 1 and not fades:  # no tile beside it to wait for
                for _, pixels in self._decode_tile(image, rows, columns_axis[0], out_size):
                    yield np.ascontiguousarray(from_float(pixels, image.dtype))
                    count(pixels)
                continue
            shape = (rows.out_end - rows.out_begin, right - left, image.shape[2])
            buffer = np.zeros(shape, np.float32 if fades else image.dtype)
            buffer[: len(waiting)] = waiting
            for columns in columns_axis:
                for row, pixels in self._decode_tile(image, rows, columns, out_size):
                    begin = row - rows.out_begin
                    part = buffer[begin : begin + len(pixels), columns.out_begin - left : columns.out_end - left]
                    if fades:
                        part += pixels * rows.weights()[begin:][: len(pixels), None, None] * columns.weights()[:, None]
                    else:
                        part[:] = from_float(pixels, image.dtype)
                    count(pixels)
            final = (following.out_begin if following else rows.out_end) - rows.out_begin
            waiting = buffer[final:]
            yield from_float(buffer[:final], image.dtype) if fades else buffer[:final]

    def _cut(
        self, image: AnyImage, out_size: Size, keep: tuple[tuple[int, int], ...], tile_px: int
    ) -> tuple[list[Span], list[Span]]:
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

    def _decode_tile(
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
            pixels = pixels if colour.shape[2] == 3 else pixels.mean(axis=2, keepdims=True)
            if has_alpha:
                frame = (rows.begin, columns.begin, height, width)
                ys = make_axis(out_size[0])[row : row + len(pixels)]
                xs = make_axis(out_size[1])[columns.out_begin : columns.out_end]
                pixels = np.concatenate([pixels, sample_alpha(tile[:, :, -1], frame, ys, xs)], axis=2)
            yield row, pixels


def find_weights(weights: str | Path) -> Path:
    """The file of the weights "real" or "classical", or the path given. UserError where there is none."""
    shipped = str(weights) in SHIPPED_WEIGHTS
    path = Path(__file__).parent / "weights" / f"{weights}.safetensors" if shipped else Path(weights)
    if path.is_file():
        return path
    names = " and ".join(f"'{name}'" for name in SHIPPED_WEIGHTS)
    problem = (
        f"weights '{weights}' do not come with this version"
        if shipped
        else f"{path}: no such weights file; those that come with it are called {names}"
    )
    raise UserError(
        f"{problem}; to make some, train with `python realciao/train.py -opt options/quickstart.yml` "
        "and give the .safetensors file that its last lines name"
    )


def _check_image(image: AnyImage) -> None:
    if not isinstance(image, np.ndarray):
        raise UserError(f"an image is a numpy array, not {type(image).__name__}")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise UserError(f"an image is uint8, uint16 or float32, not {image.dtype}")
    if not (image.ndim == 2 or (image.ndim == 3 and 1 <= image.shape[2] <= 4)) or 0 in image.shape:
        raise UserError(f"an image is HW or HWC with 1 to 4 channels and not empty, not of shape {image.shape}")
    if image.dtype == np.float32 and not np.isfinite(image).all():
        raise UserError("the image holds values that are not finite numbers")
