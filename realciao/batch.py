"""The one statement of what a training batch and a validation item hold: keys, shapes, ranges, coordinate order.

Both are plain dicts, so that default_collate and Accelerate move them. Images are float32 RGB in [0, 1].
A coordinate is (y, x), in [-1, 1] of the LR image's frame, at pixel centres (align_corners=False): LR pixel i of n lies at
-1 + (2 i + 1) / n. Random points are hq = 1; a window is hq = wq = P: predictions and targets are images either way.
"""

from typing import NotRequired, TypedDict

import numpy as np
from jaxtyping import Float
from torch import Tensor


class TrainBatch(TypedDict):
    """What the training step reads."""

    lq: Float[Tensor, "b 3 h w"]
    """LR patch."""
    coord: Float[Tensor, "b hq wq 2"]
    """Centres of the queried HR pixels, in the frame of `lq`."""
    cell: Float[Tensor, "b 2"]
    """Height and width of one HR pixel in the units of `coord`."""
    gt: Float[Tensor, "b 3 hq wq"]
    """The HR pixels at `coord`."""
    gt_usm: NotRequired[Float[Tensor, "b 3 hq wq"]]
    """The same pixels of the sharpened target; present where the dataset was asked for it."""
    teacher: NotRequired[Float[Tensor, "b 3 hq wq"]]
    """The same pixels of the teacher's result for `lq`, above its scale those of `gt`; present where a loss wants it."""
    kept: NotRequired[Float[Tensor, "b k kh kw"]]
    """The map that a frozen trunk made of `lq`; present where the network starts from it."""


class EvalItem(TypedDict):
    """One image of a validation set, as numpy HWC."""

    name: str
    """File name without extension; with the scale where a set holds one image at several."""
    lq: Float[np.ndarray, "h w 3"]
    """LR image."""
    size: tuple[int, int]
    """Height and width of the wanted result."""
    gt: NotRequired[Float[np.ndarray, "hr_h hr_w 3"]]
    """HR image of that size; absent for real photos without ground truth."""
