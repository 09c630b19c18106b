"""From an LR image and its HR image to one item of a training batch."""

import numpy as np
import torch
from jaxtyping import Float, Shaped

from realciao.batch import TrainBatch
from realciao.data.geometry import Axis
from realciao.data.pixels import rgb
from realciao.data.queries import Queries
from realciao.image import AnyImage


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
        lq=_to_tensor(lq[top : top + patch_size, left : left + patch_size]),
        coord=torch.from_numpy(coord.astype(np.float32)),
        cell=torch.tensor([rows.cell, columns.cell], dtype=torch.float32),
        gt=_to_tensor(gt[ys, xs]),
    )
    if gt_usm is not None:
        item["gt_usm"] = _to_tensor(gt_usm[ys, xs])
    return item


def _to_tensor(image: AnyImage) -> Float[torch.Tensor, "3 h w"]:
    return torch.from_numpy(np.ascontiguousarray(rgb(image).transpose(2, 0, 1)))
