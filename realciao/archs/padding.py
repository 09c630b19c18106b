"""Padding an image to the grid that a network part needs."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def pad_to_multiple(image: Float[Tensor, "b c h w"], multiple: int) -> Float[Tensor, "b c H W"]:
    """Pads right and bottom, by reflection, until both sides are multiples; by replication on an axis too short to reflect."""
    for axis in (2, 3):
        size = image.shape[axis]
        if torch.compiler.is_exporting():  # one graph for all sizes
            image = image.index_select(axis, _padded(size, multiple).to(image.device))
            continue
        missing = -size % multiple
        if missing:
            mode = "reflect" if missing < size else "replicate"
            image = F.pad(image, (0, 0, 0, missing) if axis == 2 else (0, missing, 0, 0), mode=mode)
    return image


def _padded(size: int, multiple: int) -> Int[Tensor, "n"]:
    """Of which pixel each of the padded axis is a copy."""
    index = torch.arange((size + multiple - 1) // multiple * multiple)
    reflected = size - 1 - (index - (size - 1)).abs()
    return torch.where(reflected[-1] < 0, index.clamp(max=size - 1), reflected)
