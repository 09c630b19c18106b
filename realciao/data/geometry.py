"""Where the pixels of an HR image lie in the frame of an LR patch. Exact for any pair of sizes.

An HR image of n_hr pixels and an LR image of n_lr show the same extent, so the scale is n_hr / n_lr, per axis, and HR
pixel i has its centre at (i + 0.5) n_lr / n_hr - 0.5 in LR pixels. Nothing here rounds a position.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


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
