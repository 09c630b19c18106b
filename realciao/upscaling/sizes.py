"""Which size a result has: by a scale, by what one wants of its sides or its area; and which part of it is made."""

import math
from typing import NamedTuple

import numpy as np

from realciao.coords import scaled_size
from realciao.errors import UserError

MAX_OUTPUT_PIXELS = 4_000_000_000
MAX_OUTPUT_SIDE = 10_000_000

_SEVERAL = (tuple, list, np.ndarray)

Size = tuple[int, int]
Roi = tuple[int, int, int, int]
"""(y0, x0, y1, x1) in pixels of the input."""


class SizeError(UserError):
    """A scale, size or region that cannot be made."""


class SizeRequest(NamedTuple):
    """What is asked of every result; one of these is given. Where one side is, the other keeps the proportions."""

    scale: float | tuple[float, float] | None = None
    """Of both axes, or (scale_y, scale_x)."""
    size: Size | None = None
    """Height and width."""
    width: int | None = None
    height: int | None = None
    long_side: int | None = None
    short_side: int | None = None
    megapixels: float | None = None

    def resolve(self, size: Size) -> Size:
        """Height and width of the result of an image of `size`.

        Raises:
            SizeError: none or several are given, or one that is no size.
        """
        given = {name: value for name, value in self._asdict().items() if value is not None}
        if len(given) != 1:
            raise SizeError("give either a scale or a size")
        ((name, value),) = given.items()
        if name in ("scale", "size"):
            return output_size(size, self.scale, self.size)
        if not 0 < value <= MAX_OUTPUT_PIXELS:  # of whole numbers too large for a float, this says it without one
            raise SizeError(_too_large(name) if value > 0 else f"{name} {value} is not above 0")
        height, width = size
        side = {"width": width, "height": height, "long_side": max(size), "short_side": min(size)}
        scale = math.sqrt(value * 1e6 / (height * width)) if name == "megapixels" else value / side[name]
        return scaled_size(size, scale)


def output_size(size: Size, scale: float | tuple[float, float] | None, wanted: Size | None) -> Size:
    """Height and width of the result of an image of `size`: at a scale, or as wanted; SizeError unless one is given."""
    if (scale is None) == (wanted is None):
        raise SizeError("give either a scale or a size")
    if scale is not None:
        scales = tuple(scale) if isinstance(scale, _SEVERAL) else (scale, scale)
        if len(scales) != 2 or not all(isinstance(s, int | float | np.number) and 0 < s < math.inf for s in scales):
            shown = " x ".join(dict.fromkeys(map(str, scales[::-1])))
            raise SizeError(f"scale {shown:.40} is not a number above 0, nor two for y and x")
        if max(scales) > MAX_OUTPUT_PIXELS:
            raise SizeError(_too_large("scale"))
        return scaled_size(size, (scales[0], scales[1]))
    assert wanted is not None
    if not _are_whole(wanted, 2) or min(wanted) <= 0:
        raise SizeError(f"size {wanted} is not a height and a width of 1 pixel or more")
    return int(wanted[0]), int(wanted[1])


def _are_whole(numbers: object, count: int) -> bool:
    return (
        isinstance(numbers, _SEVERAL)
        and len(numbers) == count
        and all(isinstance(n, int | np.integer) for n in numbers)
    )


def _too_large(name: str) -> str:
    return f"{name} asks for more than the {MAX_OUTPUT_PIXELS} pixels that are made at once"


def count_pixels(height: int, width: int) -> int:
    """The number of pixels of a result. SizeError where there is none, or too many of them."""
    if not 0 < height * width <= MAX_OUTPUT_PIXELS:
        problem = f"above the {MAX_OUTPUT_PIXELS} pixels that are made at once" if height * width else "empty"
        raise SizeError(f"a result of {width}x{height} is {problem}")
    if max(height, width) > MAX_OUTPUT_SIDE:
        raise SizeError(f"a result of {width}x{height} has a side above {MAX_OUTPUT_SIDE} pixels")
    return height * width


def check_roi(roi: Roi | None, size: Size) -> tuple[tuple[int, int], tuple[int, int]]:
    """The rows and the columns of a region; all where it is None. SizeError where it has no area inside the image."""
    roi = (0, 0, *size) if roi is None else roi
    if not _are_whole(roi, 4):
        raise SizeError(f"region {roi} is not (y0, x0, y1, x1) in whole pixels")
    y0, x0, y1, x1 = map(int, roi)
    if not (0 <= y0 < y1 <= size[0] and 0 <= x0 < x1 <= size[1]):
        raise SizeError(
            f"region of the columns {x0} up to {x1} and the rows {y0} up to {y1} has no area, or is not inside the image of "
            f"{size[1]}x{size[0]} (width x height)"
        )
    return (y0, y1), (x0, x1)
