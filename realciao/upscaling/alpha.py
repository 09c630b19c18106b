"""Transparency, which the network does not see: it is upscaled beside the colours."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from realciao.coords import Frame, to_tile


def fill_hidden(image: Shaped[np.ndarray, "h w c"]) -> Shaped[np.ndarray, "h w c"]:
    """Gives fully transparent pixels the nearest visible colour: what is hidden there must not bleed into the edge."""
    if image.shape[2] not in (2, 4):
        return image
    hidden = image[:, :, -1] == 0
    if not hidden.any() or hidden.all():
        return image
    from scipy.ndimage import distance_transform_edt  # here, because it takes most of a second

    y, x = np.asarray(distance_transform_edt(hidden, return_distances=False, return_indices=True))
    return np.concatenate([image[y, x, :-1], image[:, :, -1:]], axis=2)


def sample_alpha(
    alpha: Float[np.ndarray, "h w"], frame: Frame, ys: Float[Tensor, "hq"], xs: Float[Tensor, "wq"]
) -> Float[np.ndarray, "hq wq 1"]:
    """A tile's alpha at the output's coordinates, bicubic."""
    coord = torch.stack(torch.meshgrid(ys, xs, indexing="ij"), dim=-1)
    # coord is (y, x), grid_sample wants (x, y)
    grid = to_tile(coord, frame, alpha.shape).flip(-1)[None]
    plane = torch.from_numpy(np.ascontiguousarray(alpha))[None, None]
    sampled = F.grid_sample(plane, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return sampled[0, 0, :, :, None].numpy()
