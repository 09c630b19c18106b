"""How large an HR crop must be so that, once degraded, an LR patch can be cut from its inside."""

import math
from typing import NamedTuple

import numpy as np

from realciao.data.queries import Queries

_BORDER_HR = 16
_BORDER_LR = 2


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


def plan_crop(queries: Queries, scale: float) -> CropPlan:
    """The crop for a scale of at least 1; its LR size is `round(n_hr / scale)` too.

    What the ends of an image do to it under blur, resizing and JPEG is cut away with a border of 16 HR pixels on
    average, 8 at least, on each side.
    """
    n_patch = queries.patch_size(scale)
    border = max(_BORDER_LR, math.ceil(_BORDER_HR / scale))
    n_lr = n_patch + 2 * border
    return CropPlan(round(n_lr * scale), n_lr, n_patch, border)


def largest_crop(queries: Queries, scale_range: tuple[float, float]) -> int:
    """A bound of `n_hr` over the range, a pixel or two above the largest at most.

    The largest crop need not be the one of the largest scale, because LR sizes are rounded up.
    """
    scales = np.linspace(*scale_range, 1024)
    lower = np.append(scales[0], scales[:-1])  # LR sizes only fall as the scale grows
    return max(round(plan_crop(queries, low).n_lr * high) for low, high in zip(lower, scales, strict=True))
