"""Cuts an LR patch's part out of a larger image and reduces it to any size: exact geometry, antialiased."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from realciao.archs.resampling import find_taps, sample_grid
from realciao.images.reading import to_array, to_tensor


class PatchAxis(NamedTuple):
    """One axis of an LR patch, and of the larger image that shows the same scene as the patch's LR image."""

    start: int
    """First LR pixel of the patch."""
    n_patch: int
    n_lr: int
    """LR pixels of the LR image."""
    n_hr: int
    """Pixels of the larger image."""
    kept: int = 0
    """The first of these pixels that the given array holds."""

    def needed(self) -> slice:
        """The pixels that a reduction of the patch may read: the patch's, and two LR pixels on either side."""
        first = max(0, (self.start - 2) * self.n_hr // self.n_lr - 1)
        return slice(first, min(self.n_hr, -(-(self.start + self.n_patch + 2) * self.n_hr // self.n_lr) + 1))


def reduce_patch(
    image: Float[np.ndarray, "h w 3"], rows: PatchAxis, columns: PatchAxis, size: tuple[int, int]
) -> Float[np.ndarray, "hh ww 3"]:
    """The patch as an image of `size`, clipped to [0, 1]; enlarged where the image has fewer pixels.

    Args:
        image: the larger image from pixel (rows.kept, columns.kept) on, with at least the pixels that `needed` gives.
        rows: of the patch.
        columns: likewise.
        size: height and width of the result, which shows the patch alone.
    """
    frame = (rows.kept, columns.kept, rows.n_hr, columns.n_hr)
    taps = []
    for i, axis in enumerate((rows, columns)):
        lr = (torch.arange(size[i], dtype=torch.float64) + 0.5) * axis.n_patch / size[i] + axis.start
        coord = (2 * lr / axis.n_lr - 1).float()[None]
        cell = torch.tensor([2 * axis.n_patch / (size[i] * axis.n_lr)])
        taps.append(find_taps(coord, cell, i, frame, image.shape[i], math.ceil(axis.n_hr / axis.n_lr)))
    return to_array(sample_grid(to_tensor(image), *taps).clamp(0, 1))
