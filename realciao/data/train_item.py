"""From stored LR and HR images to one item of a training batch: views first, float pixels last."""

import numpy as np
import torch
from jaxtyping import Float, Shaped

from realciao.batch import TrainBatch
from realciao.data.geometry import Axis
from realciao.data.queries import Queries
from realciao.image import AnyImage, to_rgb, to_tensor


def random_corner(rng: np.random.Generator, size: tuple[int, ...], n_crop: int) -> tuple[int, int]:
    """Top and left of a square of `n_crop` pixels, uniform over its places in an image of `size`."""
    top, left = (int(rng.integers(n - n_crop + 1)) for n in size)
    return top, left


def orientation(rng: np.random.Generator, use_hflip: bool, use_rot: bool) -> tuple[bool, int]:
    """Whether to mirror (chance 1/2), and by how many quarter turns to rotate (uniform)."""
    return bool(use_hflip and rng.integers(2)), int(rng.integers(4)) if use_rot else 0


def oriented(image: AnyImage, mirrored: bool, quarter_turns: int) -> Shaped[np.ndarray, "hh ww *c"]:
    """A view of the image, mirrored left to right, then rotated counterclockwise."""
    return np.rot90(image[:, ::-1] if mirrored else image, quarter_turns)


def train_item(
    rng: np.random.Generator,
    queries: Queries,
    corner: tuple[int, int],
    patch_size: int,
    lq: Shaped[np.ndarray, "h w *c"],
    gt: Shaped[np.ndarray, "hr_h hr_w *gt_c"],
    gt_usm: Shaped[np.ndarray, "hr_h hr_w *gt_c"] | None,
) -> TrainBatch:
    """Cuts the LR patch at `corner` (top, left) and gathers the queried HR pixels; tensors without the batch axis.

    Images are as stored or float; only what is cut and gathered is converted.
    """
    top, left = corner
    rows = Axis(gt.shape[0], lq.shape[0], top, patch_size)
    columns = Axis(gt.shape[1], lq.shape[1], left, patch_size)
    ys, xs = queries.pick(rng, rows, columns)
    coord = np.stack([rows.coord(ys), columns.coord(xs)], axis=-1)
    item = TrainBatch(
        lq=_pixels(lq[top : top + patch_size, left : left + patch_size]),
        coord=torch.from_numpy(coord.astype(np.float32)),
        cell=torch.tensor([rows.cell, columns.cell], dtype=torch.float32),
        gt=_pixels(gt[ys, xs]),
    )
    if gt_usm is not None:
        item["gt_usm"] = _pixels(gt_usm[ys, xs])
    return item


def _pixels(image: AnyImage) -> Float[torch.Tensor, "3 h w"]:
    return to_tensor(to_rgb(image))[0].contiguous()
