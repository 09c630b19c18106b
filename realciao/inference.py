"""Upscales images of any kind and size: tiles in, bands of rows out, so that memory stays bounded."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from realciao.alpha import fill_hidden, sample_alpha
from realciao.archs.ciaosr_arch import is_dense
from realciao.archs.steps import step_sizes
from realciao.checkpoint import load_weights
from realciao.coords import make_axis, make_cell, scaled_size
from realciao.errors import UserError
from realciao.image import AnyImage, from_float, to_float
from realciao.tiling import Span, owned_outputs, split_axis

SHIPPED_WEIGHTS = ("real", "classical")
MAX_OUTPUT_PIXELS = 1_000_000_000
UNBOUNDED_HALO_PX = 32
TILE_PX = 192
WHOLE_PX = 256
"""Images of at most WHOLE_PX x WHOLE_PX pixels are not tiled unless asked."""

Progress = Callable[[int, int], None]
"""Called with the output pixels done so far and those wanted in all."""


class SizeError(UserError):
    """A scale, size or region that cannot be made."""


class Upscaler:
    """A network and how it is run on whole photos.

    Args:
        net: as realciao.build_network makes; it is moved to the device and put into evaluation mode.
        device: "auto" (CUDA, else MPS, else CPU) or a torch device.
        tile_px: edge of a tile in LR pixels, without its halo; 0 for the whole image at once, None to choose by size.
        halo_px: LR pixels that a tile sees beyond its edge; None for what the network reaches, so that tiles equal
            the whole; UNBOUNDED_HALO_PX where that has no bound, and tiles then come close.
    """

    def __init__(
        self,
        net: nn.Module,
        device: str | torch.device = "auto",
        tile_px: int | None = None,
        halo_px: int | None = None,
    ) -> None:
        for name, value in (("tile_px", tile_px), ("halo_px", halo_px)):
            if value is not None and value < 0:
                raise UserError(f"{name} is {value}; give 0 or more")
        self.device = choose_device(device)
        self.net: Any = net.to(self.device).eval()
        self.tile_px = tile_px
        self.halo_px = next(px for px in (halo_px, self.net.reach_px, UNBOUNDED_HALO_PX) if px is not None)

    @classmethod
    def from_file(
        cls,
        weights: str | Path = "real",
        device: str | torch.device = "auto",
        tile_px: int | None = None,
        halo_px: int | None = None,
    ) -> "Upscaler":
        """An upscaler with the weights named "real" or "classical", or of a file that training wrote.

        Raises:
            UserError: no such weights, not a weights file, or no such device.
        """
        return cls(load_weights(find_weights(weights)), device, tile_px, halo_px)

    @torch.inference_mode()
    def upscale(
        self,
        image: AnyImage,
        scale: float | tuple[float, float] | None = None,
        *,
        size: tuple[int, int] | None = None,
        roi: tuple[int, int, int, int] | None = None,
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
            UserError: not an image.
        """
        _check_image(image)
        height, width = image.shape[:2]
        out_size = output_size((height, width), scale, size)
        if max_step is not None:
            steps = step_sizes((height, width), out_size, max_step)
            if roi and len(steps) > 1:
                raise SizeError(f"a region cannot be made in {len(steps)} steps; leave max_step out")
            exact = to_float(image)
            for step in steps[:-1]:
                exact = self.upscale(exact, size=step, progress=progress)
            if len(steps) > 1:
                return from_float(self.upscale(exact, size=out_size, progress=progress), image.dtype)
        keep_y, keep_x = _check_roi(roi, (height, width))
        top, bottom = owned_outputs(*keep_y, height, out_size[0])
        left, right = owned_outputs(*keep_x, width, out_size[1])
        wanted = count_pixels(bottom - top, right - left)

        flat = image.ndim == 2
        image = fill_hidden(image[:, :, None] if flat else image)
        result = np.empty((bottom - top, right - left, image.shape[2]), image.dtype)
        tile_px = self._choose_tile((keep_y[1] - keep_y[0]) * (keep_x[1] - keep_x[0]))
        done = 0
        for rows in split_axis(height, out_size[0], tile_px, self.halo_px, self.net.multiple, keep_y):
            for columns in split_axis(width, out_size[1], tile_px, self.halo_px, self.net.multiple, keep_x):
                for row, band in self._decode_tile(image, rows, columns, out_size):
                    window = result[
                        row - top : row - top + len(band), columns.out_begin - left : columns.out_end - left
                    ]
                    window[:] = from_float(band, image.dtype)
                    done += window.shape[0] * window.shape[1]
                    if progress:
                        progress(done, wanted)
        return result[:, :, 0] if flat else result

    def _choose_tile(self, pixels: int) -> int:
        if self.tile_px is None:
            return 0 if pixels <= WHOLE_PX**2 else TILE_PX
        return self.tile_px

    def _decode_tile(
        self, image: AnyImage, rows: Span, columns: Span, out_size: tuple[int, int]
    ) -> Iterator[tuple[int, Float[np.ndarray, "hq wq c"]]]:
        """The output pixels that one tile owns, in bands: the first row of each, and its pixels."""
        tile = to_float(image[rows.begin : rows.end, columns.begin : columns.end])
        has_alpha = tile.shape[2] in (2, 4)
        colour = tile[:, :, : tile.shape[2] - has_alpha]
        planes = np.broadcast_to(colour.transpose(2, 0, 1), (3, *colour.shape[:2]))
        lq = torch.from_numpy(np.array(planes, order="C"))[None].to(self.device)
        frame = (rows.begin, columns.begin, *image.shape[:2])
        prepared = self.net.prepare(lq, frame=frame, dense=is_dense(frame[2:], out_size))
        ys = make_axis(out_size[0])[rows.out_begin : rows.out_end]
        xs = make_axis(out_size[1])[columns.out_begin : columns.out_end]
        cell = make_cell(out_size, self.device)[None]
        row = rows.out_begin
        for pred in self.net.decode(prepared, ys.to(self.device), xs.to(self.device), cell):
            band = ys[row - rows.out_begin :][: pred.shape[2]]
            pixels = pred[0].permute(1, 2, 0).float().cpu().numpy()
            pixels = pixels if colour.shape[2] == 3 else pixels.mean(axis=2, keepdims=True)
            if has_alpha:
                pixels = np.concatenate([pixels, sample_alpha(tile[:, :, -1], frame, band, xs)], axis=2)
            yield row, pixels
            row += len(band)


def choose_device(device: str | torch.device) -> torch.device:
    """The device by name; "auto" is CUDA where there is one, else MPS, else CPU. UserError where it is missing."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(kind for kind, here in available.items() if here))
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UserError(f"device '{device}' is not known; give auto, cpu, cuda or mps") from None
    if not available.get(chosen.type, False) or (
        chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()
    ):
        raise UserError(f"device '{device}' is not available here; give auto or cpu")
    return chosen


def find_weights(weights: str | Path) -> Path:
    """The file of the weights "real" or "classical", or the path given. UserError where there is none."""
    shipped = str(weights) in SHIPPED_WEIGHTS
    path = Path(__file__).parent / "weights" / f"{weights}.safetensors" if shipped else Path(weights)
    if path.is_file():
        return path
    problem = f"weights '{weights}' do not come with this version" if shipped else f"{path}: no such weights file"
    raise UserError(
        f"{problem}; to make some, train with `python realciao/train.py -opt options/quickstart.yml` "
        "and give the .safetensors file that its last lines name"
    )


def output_size(
    size: tuple[int, int], scale: float | tuple[float, float] | None, wanted: tuple[int, int] | None
) -> tuple[int, int]:
    """Height and width of the result of an image of `size`: at a scale, or as wanted; SizeError unless one is given."""
    if (scale is None) == (wanted is None):
        raise SizeError("give either a scale or a size")
    if scale is not None:
        scales = tuple(scale) if isinstance(scale, tuple | list) else (scale, scale)
        if len(scales) != 2 or not all(math.isfinite(s) and s > 0 for s in scales):
            raise SizeError(f"scale {scale} is not a number above 0")
        return scaled_size(size, (scales[0], scales[1]))
    assert wanted is not None
    if len(wanted) != 2 or not all(isinstance(n, int | np.integer) and n > 0 for n in wanted):
        raise SizeError(f"size {wanted} is not a height and a width of 1 pixel or more")
    return int(wanted[0]), int(wanted[1])


def count_pixels(height: int, width: int) -> int:
    """The number of pixels of a result. SizeError where there is none, or more than MAX_OUTPUT_PIXELS."""
    if not 0 < height * width <= MAX_OUTPUT_PIXELS:
        problem = f"above the {MAX_OUTPUT_PIXELS} pixels that are made at once" if height * width else "empty"
        raise SizeError(f"a result of {width}x{height} is {problem}")
    return height * width


def _check_image(image: AnyImage) -> None:
    if not isinstance(image, np.ndarray):
        raise UserError(f"an image is a numpy array, not {type(image).__name__}")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise UserError(f"an image is uint8, uint16 or float32, not {image.dtype}")
    if not (image.ndim == 2 or (image.ndim == 3 and 1 <= image.shape[2] <= 4)) or 0 in image.shape:
        raise UserError(f"an image is HW or HWC with 1 to 4 channels and not empty, not of shape {image.shape}")
    if image.dtype == np.float32 and not np.isfinite(image).all():
        raise UserError("the image holds values that are not finite numbers")


def _check_roi(roi: tuple[int, int, int, int] | None, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The rows and the columns of a region; all where it is None."""
    y0, x0, y1, x1 = roi or (0, 0, *size)
    if not (0 <= y0 < y1 <= size[0] and 0 <= x0 < x1 <= size[1]):
        raise SizeError(f"region {roi} is not (y0, x0, y1, x1) with an area inside the image of {size[1]}x{size[0]}")
    return (y0, y1), (x0, x1)
