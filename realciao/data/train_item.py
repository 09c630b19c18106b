"""From stored LR and HR images to one item of a training batch: views first, float pixels last."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped

from realciao.batch import TrainBatch
from realciao.data.geometry import Axis
from realciao.data.queries import Queries
from realciao.images.reading import AnyImage, to_rgb, to_tensor


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


class Place(NamedTuple):
    """What a sample takes of its LR and HR images."""

    top: int
    left: int
    n_patch: int
    """of the LR patch"""
    ys: Int[np.ndarray, "hq wq"]
    xs: Int[np.ndarray, "hq wq"]
    """Rows and columns of the queried HR pixels."""
    coord: Float[torch.Tensor, "hq wq 2"]
    cell: Float[torch.Tensor, "2"]


def place_item(
    rng: np.random.Generator,
    queries: Queries,
    corner: tuple[int, int],
    patch_size: int,
    lq_size: tuple[int, ...],
    gt_size: tuple[int, ...],
) -> Place:
    """Draws the queried pixels on the LR patch at `corner` (top, left) of images of these sizes (height, width)."""
    top, left = corner
    rows = Axis(gt_size[0], lq_size[0], top, patch_size)
    columns = Axis(gt_size[1], lq_size[1], left, patch_size)
    ys, xs = queries.pick(rng, rows, columns)
    coord = np.stack([rows.coord(ys), columns.coord(xs)], axis=-1)
    cell = torch.tensor([rows.cell, columns.cell], dtype=torch.float32)
    return Place(top, left, patch_size, ys, xs, torch.from_numpy(coord.astype(np.float32)), cell)


def train_item(
    place: Place,
    lq: Shaped[np.ndarray, "h w *c"],
    gt: Shaped[np.ndarray, "hr_h hr_w *gt_c"],
    gt_usm: Shaped[np.ndarray, "hr_h hr_w *gt_c"] | None,
) -> TrainBatch:
    """Cuts the LR patch and gathers the queried HR pixels; tensors without the batch axis.

    Images are as stored or float; only what is cut and gathered is converted.
    """
    top, left, n_patch, ys, xs, coord, cell = place
    item = TrainBatch(
        lq=_pixels(lq[top : top + n_patch, left : left + n_patch]), coord=coord, cell=cell, gt=_pixels(gt[ys, xs])
    )
    if gt_usm is not None:
        item["gt_usm"] = _pixels(gt_usm[ys, xs])
    return item


def _pixels(image: AnyImage) -> Float[torch.Tensor, "3 h w"]:
    return to_tensor(to_rgb(image))[0].contiguous()
