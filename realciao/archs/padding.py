"""Padding an image to the grid that a network part needs."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def pad_to_multiple(image: Float[Tensor, "b c h w"], multiple: int) -> Float[Tensor, "b c H W"]:
    """Pads right and bottom, by reflection, until both sides are multiples; by replication on an axis too short to reflect."""
    for axis in (2, 3):
        size = image.shape[axis]
        missing = -size % multiple
        if missing:
            mode = "reflect" if missing < size else "replicate"
            image = F.pad(image, (0, 0, 0, missing) if axis == 2 else (0, missing, 0, 0), mode=mode)
    return image
