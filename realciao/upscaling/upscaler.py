"""Upscales images of any kind and size: a network and how it is run, what is asked of it, and whether that can be."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from realciao.errors import UserError
from realciao.images.pixels import AnyImage, from_float, to_float
from realciao.images.writing import Bands
from realciao.machine.devices import Dtype, choose_device, choose_dtype
from realciao.upscaling.bands import Progress, TileBands
from realciao.upscaling.sizes import Roi, Size, SizeError, check_roi, count_pixels, output_size
from realciao.upscaling.steps import step_sizes
from realciao.upscaling.tile import Dials
from realciao.upscaling.tiling import owned_outputs
from realciao.weights.checkpoint import blend_weights, load_weights
from realciao.weights.shipped import shipped_for

MAX_EXACT_HALO_PX = 64
"""Networks that reach further (RDN, SwinIR, global attention) get the halo and fade below, unless one is asked for: with all
of its reach around it, a tile's encoder would do many times the work."""
SHORT_HALO_PX = 32
FADE_PX = 8
"""On either side of a border between tiles that only come close to the whole."""
MAX_BACK_PROJECTION = 50


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
            if value is not None and not (isinstance(value, int) and value >= 0):
                raise UserError(f"{name} is {value}; give a whole number, 0 or more")
        if back_projection > MAX_BACK_PROJECTION:
            raise UserError(f"back_projection is {back_projection}; give at most {MAX_BACK_PROJECTION}, 3 is enough")
        if not all(hasattr(net, name) for name in ("prepare", "decode", "multiple", "reach_px")):
            raise UserError(f"{type(net).__name__} is no network for any scale: it cannot be asked at coordinates")
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
        """An upscaler with weights by name ("real", "classical", or a teacher's), or of a file, ours or a teacher's.

        Args:
            weights: a name or a path; two of one network, stage 1's and stage 2's, to lie between them; None for "real", and
                with `denoise` for both that ship.
            denoise: between two weights: 1 for the first (smooth), 0 for the second (sharp).
            options: further ones of the constructor.

        Raises:
            UserError: no such weights, not a weights file, or no such device.
        """
        if weights is None:
            weights = shipped_for(denoise)
        files = [weights] if isinstance(weights, str | Path) else list(weights)
        nets = [load_weights(file) for file in files]
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
            progress: called after every band of rows, with what all steps make together.

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
        image = np.asarray(image)  # a matrix, for one, would stay two-dimensional
        height, width = image.shape[:2]
        out_size = output_size((height, width), scale, size)
        if max_step is not None:
            count_pixels(*out_size)
            steps = step_sizes((height, width), out_size, max_step)
            if roi is not None and len(steps) > 1:
                raise SizeError(f"a region cannot be made in {len(steps)} steps; leave max_step out")
            if len(steps) > 1:
                return Bands((*out_size, *image.shape[2:]), image.dtype, self._in_steps(image, steps, progress))
        keep = check_roi(roi, (height, width))
        top, bottom = owned_outputs(*keep[0], height, out_size[0])
        left, right = owned_outputs(*keep[1], width, out_size[1])
        count_pixels(bottom - top, right - left)
        flat = image.ndim == 2
        shape = (bottom - top, right - left) if flat else (bottom - top, right - left, image.shape[2])
        how = TileBands(self.net, self.device, self.dtype, self.dials, self.tile_px, self.halo_px, self.fade_px)
        rows = how.make(image[:, :, None] if flat else image, out_size, keep, progress)
        return Bands(shape, image.dtype, (band[:, :, 0] for band in rows) if flat else rows)

    def _in_steps(self, image: AnyImage, steps: Sequence[Size], progress: Progress | None) -> Iterator[AnyImage]:
        exact = to_float(image)
        areas = [height * width for height, width in steps]
        tell = progress or (lambda done, wanted: None)

        def part(number: int) -> Progress:
            return lambda done, _: tell(sum(areas[:number]) + done, sum(areas))

        for number, step in enumerate(steps[:-1]):
            exact = self.upscale(exact, size=step, progress=part(number))
        for band in self.upscale_bands(exact, size=steps[-1], progress=part(len(steps) - 1)).rows:
            yield from_float(band, image.dtype)


def _check_image(image: AnyImage) -> None:
    if not isinstance(image, np.ndarray):
        raise UserError(f"an image is a numpy array, not {type(image).__name__}")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise UserError(f"an image is uint8, uint16 or float32, not {image.dtype}")
    if not (image.ndim == 2 or (image.ndim == 3 and 1 <= image.shape[2] <= 4)) or 0 in image.shape:
        raise UserError(f"an image is HW or HWC with 1 to 4 channels and not empty, not of shape {image.shape}")
    if image.dtype == np.float32 and not np.isfinite(image).all():
        raise UserError("the image holds values that are not finite numbers")
