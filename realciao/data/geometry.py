"""Where the pixels of an HR image lie in the frame of an LR patch, and how large a crop a patch needs.

An HR image of n_hr pixels and an LR image of n_lr show the same extent, so the scale is n_hr / n_lr, per axis, and HR
pixel i has its centre at (i + 0.5) n_lr / n_hr - 0.5 in LR pixels. This is exact for any pair of sizes: nothing here
rounds a position.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_BORDER_HR = 16
_BORDER_LR = 2


class Axis(NamedTuple):
    """One axis of an LR patch: `n_patch` pixels from `start` of an LR image whose HR image has `n_hr`."""

    n_hr: int
    n_lr: int
    start: int
    n_patch: int

    def coord(self, hr_index: Int[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Centres of HR pixels as coordinates of the patch, float64: inside it they lie in [-1, 1]."""
        lr_position = (hr_index + 0.5) * self.n_lr / self.n_hr - 0.5 - self.start
        return (2 * lr_position + 1) / self.n_patch - 1

    @property
    def cell(self) -> float:
        """Extent of one HR pixel in the units of `coord`."""
        return 2 * self.n_lr / (self.n_hr * self.n_patch)

    def covered(self) -> range:
        """The HR pixels whose centres lie on the patch."""
        return range(self._first_from(self.start), self._first_from(self.start + self.n_patch))

    def centred(self, length: int) -> range:
        """The run of `length` HR pixels around the middle of the patch."""
        middle = (self.start + self.n_patch / 2) * self.n_hr / self.n_lr
        first = math.floor(middle - length / 2 + 0.5)
        return range(first, first + length)

    def _first_from(self, lr_edge: int) -> int:
        """First HR pixel whose centre is not before the edge of LR pixel `lr_edge`: 2 (i + 0.5) n_lr >= 2 edge n_hr."""
        return -((self.n_lr - 2 * lr_edge * self.n_hr) // (2 * self.n_lr))


class CropPlan(NamedTuple):
    """Edges, in pixels, of the square HR crop, its LR image, the LR patch in it, and the border around that."""

    n_hr: int
    n_lr: int
    n_patch: int
    border: int

    def corner(self, rng: np.random.Generator) -> tuple[int, int]:
        """Top and left of the LR patch: in the middle, give or take half the border.

        The shift lets JPEG's 8 x 8 grid meet the patch at many phases, as it meets a tile of a large image.
        """
        shift = self.border // 2
        top, left = self.border + rng.integers(-shift, shift + 1, size=2)
        return int(top), int(left)


def plan_crop(n_patch: int, scale: float) -> CropPlan:
    """The HR crop that, once degraded, has an LR patch of `n_patch` in its inside; `round(n_hr / scale)` is n_lr too.

    What the ends of an image do to it under blur, resizing and JPEG is cut away with a border of 16 HR pixels on
    average, 8 at least, on each side. The scale is at least 1.
    """
    border = max(_BORDER_LR, math.ceil(_BORDER_HR / scale))
    n_lr = n_patch + 2 * border
    return CropPlan(round(n_lr * scale), n_lr, n_patch, border)


def largest_crop(patch_size: Callable[[float], int], scale_range: tuple[float, float]) -> int:
    """A bound of `n_hr` over the range, a pixel or two above the largest at most.

    The largest crop need not be the one of the largest scale, because LR sizes are rounded up.

    Args:
        patch_size: edge of the LR patch at a scale; it never grows with the scale.
        scale_range: smallest and largest scale.
    """
    scales = np.linspace(*scale_range, 1024)
    lower = np.append(scales[0], scales[:-1])  # LR sizes only fall as the scale grows
    pairs = zip(lower, scales, strict=True)
    return max(round(plan_crop(patch_size(low), low).n_lr * high) for low, high in pairs)
