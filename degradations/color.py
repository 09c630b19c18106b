"""Errors of colour."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from degradations.pixels import LUMA
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Step
from degradations.values import Range, RangeSpec

MAX_SHIFT_PX = 16


@DEGRADATION_REGISTRY.register()
class ChromaShift(Step):
    """Moves the chroma against the luma, which stays as it is; between pixels it is interpolated linearly.

    What it gives may lie outside [0, 1], where a colour comes upon a luma that is too bright or too dark for it.

    Args:
        shift_px: to the right and down, drawn for each direction.
    """

    def __init__(self, shift_px: RangeSpec) -> None:
        self.shift_px = Range.parse("shift_px", shift_px, at_least=-MAX_SHIFT_PX, at_most=MAX_SHIFT_PX)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        return {"shift_px": [self.shift_px.draw(rng), self.shift_px.draw(rng)]}

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        x_taps, y_taps = (_taps(shift) for shift in params["shift_px"])
        moved = cv2.sepFilter2D(image, -1, x_taps, y_taps, borderType=cv2.BORDER_REPLICATE)
        # all three channels move, and then the luma is put back
        return moved + ((image - moved) @ np.array(LUMA, np.float32))[:, :, None]

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Differentiable."""
        reach = max(len(_taps(shift)) // 2 for p in params for shift in p["shift_px"])
        moved = F.pad(images, (reach,) * 4, mode="replicate").flatten(0, 1)[None]
        for axis in (0, 1):
            taps = images.new_tensor(np.stack([_taps(p["shift_px"][axis], reach) for p in params]))
            kernels = taps.repeat_interleave(3, 0).view(3 * len(params), 1, *((1, -1) if axis == 0 else (-1, 1)))
            moved = F.conv2d(moved, kernels, groups=3 * len(params))
        moved = moved.view_as(images)
        luma = torch.einsum("c,bchw->bhw", images.new_tensor(LUMA), images - moved)
        return moved + luma[:, None]


def _taps(shift_px: float, reach: int | None = None) -> Float[np.ndarray, "k"]:
    """The filter, as cv2 and torch correlate, that moves a line by `shift_px`."""
    reach = math.ceil(abs(shift_px)) if reach is None else reach
    return np.maximum(1 - np.abs(np.arange(-reach, reach + 1) + shift_px), 0).astype(np.float32)
