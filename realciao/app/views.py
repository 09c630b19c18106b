"""What the page shows of a photo and of its result: parts of them in 8 bits, as PNG."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from realciao.errors import UserError
from realciao.images.pixels import AnyImage, from_float, to_float
from realciao.upscaling.sizes import Roi, Size

MAX_VIEW_PIXELS = 16_000_000
MAX_VIEW_SIDE = 16_384
"""Of what is shown; narrower and longer, it would take a minute to make."""
_REACH_PX = 4
"""Pixels of the photo that bicubic interpolation reads on either side, in upscaling, and some."""


class View(NamedTuple):
    """What is looked at."""

    plane: Size
    """Height and width of the whole result."""
    box: Roi
    """Of it, the part: (y0, x0, y1, x1)."""
    shape: Size
    """Height and width in which it is shown."""

    def check(self) -> "View":
        """Itself; raises UserError where it shows nothing, or too much."""
        y0, x0, y1, x1 = self.box
        inside = 0 <= y0 < y1 <= self.plane[0] and 0 <= x0 < x1 <= self.plane[1]
        fits = max(self.shape) <= MAX_VIEW_SIDE and self.shape[0] * self.shape[1] <= MAX_VIEW_PIXELS
        if not inside or min(self.shape) < 1 or not fits:
            raise UserError(f"there is nothing to see at {self.box} of {self.plane}, {self.shape}")
        return self


def to_bytes(image: AnyImage) -> AnyImage:
    """In 8 bits, whatever it was."""
    return image if image.dtype == np.uint8 else from_float(to_float(image), np.uint8)


def show_part(image: AnyImage, view: View) -> Image.Image:
    """A part of an image enlarged to `view.plane` by bicubic interpolation (antialiased where it is made smaller)."""
    height, width = image.shape[:2]
    y0, x0, y1, x1 = view.box
    scale_y, scale_x = height / view.plane[0], width / view.plane[1]
    top, left, bottom, right = y0 * scale_y, x0 * scale_x, y1 * scale_y, x1 * scale_x
    # what is shown smaller reads more
    reach_y = _REACH_PX + 2 * int((bottom - top) / view.shape[0])
    reach_x = _REACH_PX + 2 * int((right - left) / view.shape[1])
    first_row, first_column = max(0, int(top) - reach_y), max(0, int(left) - reach_x)
    part = image[first_row : int(bottom) + reach_y + 1, first_column : int(right) + reach_x + 1]
    box = (left - first_column, top - first_row, right - first_column, bottom - first_row)
    if (y1 - y0, x1 - x0) == view.shape and view.plane == (height, width):
        return Image.fromarray(to_bytes(np.ascontiguousarray(image[y0:y1, x0:x1])))
    return Image.fromarray(to_bytes(np.ascontiguousarray(part))).resize(
        (view.shape[1], view.shape[0]), Image.Resampling.BICUBIC, box=box
    )


def to_png(picture: Image.Image, icc: bytes | None = None) -> bytes:
    """With the photo's colour profile, so that the browser shows the colours that the file means."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1, icc_profile=icc)
    return buffer.getvalue()
