"""TIFFs of which Pillow would keep 8 bits, or which it does not know: several channels of 16 bits, or of floats."""

import io
from typing import NamedTuple

import numpy as np
import tifffile

from realciao.images.pixels import AnyImage, from_float, to_float

_DTYPES = {"uint8": np.uint8, "uint16": np.uint16, "float16": np.float32, "float32": np.float32, "float64": np.float32}


class DeepTiff(NamedTuple):
    """The first page of a file."""

    image: AnyImage
    """Not turned upright; colours not multiplied by alpha."""
    orientation: int
    pages: int


def read_deep_tiff(data: bytes, max_pixels: int) -> DeepTiff | None:
    """Decodes a TIFF of grey or RGB, with or without alpha, interleaved or in planes.

    None for another kind, or for a compression that tifffile does not know without further libraries.

    Raises:
        ValueError: more pixels than `max_pixels`.
        Exception: whatever comes to hand on broken bytes.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        if page.imagewidth * page.imagelength > max_pixels:
            raise ValueError(f"{page.imagewidth}x{page.imagelength} are more than {max_pixels} pixels")
        meaning = getattr(page.photometric, "name", "")
        colours = {"MINISBLACK": 1, "MINISWHITE": 1, "RGB": 3}.get(meaning)
        if colours is None or page.dtype is None or page.dtype.name not in _DTYPES or page.imagedepth > 1:
            return None
        extra = int(page.extrasamples[0]) if page.extrasamples else 0
        try:
            stored = page.asarray()
        except ValueError:
            # OpenCV gets these wrong
            if page.planarconfig == 2 or extra == 1 or page.samplesperpixel == 2 or meaning == "MINISWHITE":
                raise
            return None
        stored = stored.reshape(-1, *page.shape[-2:]) if page.planarconfig == 2 else stored
        channels = np.moveaxis(stored, 0, -1) if page.planarconfig == 2 and stored.ndim == 3 else stored
        image = np.atleast_3d(channels).astype(_DTYPES[page.dtype.name])
        if meaning == "MINISWHITE":
            image[:, :, 0] = from_float(1 - to_float(image[:, :, 0]), image.dtype)
        tags = page.tags
        return DeepTiff(_with_alpha(image, colours, extra), tags.valueof(274, 1), len(file.pages))


def _with_alpha(image: AnyImage, colours: int, extra: int) -> AnyImage:
    """HW or HWC, with the first extra channel as alpha where it is one (1: the colours were multiplied by it; 2: not)."""
    colour = image[:, :, :colours]
    if extra in (1, 2) and image.shape[2] > colours:
        alpha = image[:, :, colours : colours + 1]
        if extra == 1:
            opacity = to_float(alpha)
            colour = from_float(to_float(colour) / np.where(opacity > 0, opacity, 1), image.dtype)
        return np.concatenate([colour, alpha], axis=2)
    return np.ascontiguousarray(colour if colours == 3 else colour[:, :, 0])
