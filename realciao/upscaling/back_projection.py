"""Back-projection (Irani and Peleg, "Improving resolution by image registration", 1991): a result that agrees with its input.

What the result, shrunk by an antialiased bicubic filter, lacks of the input is enlarged and added, several times over. All is
separable and in the frame of the full image, so a tile computes what the whole would, REACH_PX inside what it was given for
each time.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

REACH_PX = 4
"""LR pixels that one time reaches: two to shrink, two to enlarge."""


def back_project(
    pred: Float[Tensor, "1 c hq wq"],
    lq: Float[Tensor, "1 c h w"],
    rows: tuple[Float[Tensor, "hq h"], Float[Tensor, "h hq"]],
    columns: tuple[Float[Tensor, "wq w"], Float[Tensor, "w wq"]],
    times: int,
) -> Float[Tensor, "1 c hq wq"]:
    """The result of so many times; `rows` and `columns` are `axis_matrices`."""
    (up_y, down_y), (up_x, down_x) = rows, columns
    lq = lq * down_y.sum(dim=1)[:, None] * down_x.sum(dim=1)  # 1 where the outputs say what the pixel is, else 0
    for _ in range(times):
        pred = pred + up_y @ (lq - down_y @ pred @ down_x.T) @ up_x.T
    return pred


def axis_matrices(
    out: tuple[int, int], n_out: int, tile: tuple[int, int], n: int
) -> tuple[Float[Tensor, "q m"], Float[Tensor, "m q"]]:
    """Enlarging and shrinking along one axis of n LR and n_out >= n output pixels, in a tile.

    Rows of the second sum to 1, or are 0 where the tile has not all outputs that the LR pixel is made of.

    Args:
        out: the output pixels [begin, end) there are.
        tile: the LR pixels [begin, end) there are.
    """
    ratio = n_out / n
    pixels = np.arange(*tile)
    places = (np.arange(*out) + 0.5) / ratio - 0.5  # in LR pixels
    weights = _cubic(places[:, None] - pixels)
    up = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    first = np.ceil((pixels - 1.5) * ratio - 0.5).clip(0)
    last = np.floor((pixels + 2.5) * ratio - 0.5).clip(max=n_out - 1)
    complete = (out[0] <= first) & (last < out[1])
    total = weights.sum(axis=0)
    down = np.where(complete[:, None], weights.T / np.where(complete, total, 1)[:, None], 0)
    return torch.from_numpy(up).float(), torch.from_numpy(down).float()


def _cubic(distance: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
    """Keys' kernel with a = -0.5."""
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
