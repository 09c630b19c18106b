"""Large photos cut into overlapping squares, by BasicSR's rule and under its names: quicker to read, and all of one size."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from realciao.errors import UserError
from realciao.files import atomic_write
from realciao.images.reading import AnyImage, read_image, size_text, to_png


class Grid(NamedTuple):
    """Where the squares lie.

    Args:
        crop_size: edge of a square, in pixels.
        step: from one square to the next.
        thresh_size: if more pixels than this are left at the end of an axis, one more square ends there.
    """

    crop_size: int = 480
    step: int = 240
    thresh_size: int = 0

    def starts(self, length: int) -> list[int]:
        """First pixels of the squares along an axis of `length`; none where it is shorter than a square."""
        starts = list(range(0, length - self.crop_size + 1, self.step))
        if starts and length - (starts[-1] + self.crop_size) > self.thresh_size:
            starts.append(length - self.crop_size)
        return starts

    def cut(self, image: AnyImage) -> Iterator[AnyImage]:
        """The squares, row by row; views of the image."""
        size = self.crop_size
        for top in self.starts(image.shape[0]):
            for left in self.starts(image.shape[1]):
                yield image[top : top + size, left : left + size]


def sub_name(stem: str, index: int) -> str:
    """BasicSR's: the scale goes out of the stem, so that HR and LR squares share their names; numbered from 1."""
    return f"{re.sub('x[2348]', '', stem)}_s{index:03d}.png"


def cut_file(source: Path, folder: Path, grid: Grid) -> int:
    """Writes the squares of a file as PNG, and returns how many there are.

    Raises:
        UserError: it cannot be read, is smaller than a square, or the squares cannot be written.
    """
    image = read_image(source)
    if min(image.shape[:2]) < grid.crop_size:
        raise UserError(f"{source}: {size_text(image.shape)} is smaller than --crop_size {grid.crop_size}")
    index = 0
    for index, square in enumerate(grid.cut(image), start=1):
        atomic_write(folder / sub_name(source.stem, index), to_png(np.ascontiguousarray(square)))
    return index
