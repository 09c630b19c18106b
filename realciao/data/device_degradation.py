"""Degradation where the network is: workers decide all that is random and hand over crops, the device makes the pixels."""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import default_collate

import degradations
from realciao.batch import TrainBatch
from realciao.data.train_item import Place
from realciao.images.reading import to_tensor


class Points(TypedDict):
    """What of a sample is the same in size for all of a batch."""

    coord: Float[Tensor, "b hq wq 2"]
    cell: Float[Tensor, "b 2"]
    ys: Int[Tensor, "b hq wq"]
    xs: Int[Tensor, "b hq wq"]
    """Rows and columns of the queried pixels in the HR crop."""


class CropBatch(TypedDict):
    """What the loader hands over. Few tensors, as each one that leaves a worker costs a file descriptor."""

    hr: Float[Tensor, " n"]
    """The HR crops, 3 x H x W each, one behind the other: their sizes differ with the scale."""
    plans: list[degradations.Plan]
    patches: list[tuple[int, int, int]]
    """Top, left and edge of the LR patches."""
    points: Points


def crop_item(plan: degradations.Plan, place: Place, gt: Float[np.ndarray, "hr_h hr_w 3"]) -> Any:
    """A sample that is yet to be degraded: a CropBatch's parts, without the batch axis."""
    points = {
        "coord": place.coord,
        "cell": place.cell,
        "ys": torch.from_numpy(place.ys),
        "xs": torch.from_numpy(place.xs),
    }
    patch = (place.top, place.left, place.n_patch)
    return {"hr": to_tensor(gt)[0].flatten(), "plan": plan, "patch": patch, "points": points}


def collate_crops(items: Sequence[Any]) -> CropBatch:
    """The batch of such items; default_collate would take the plans apart."""
    return CropBatch(
        hr=torch.cat([item["hr"] for item in items]),
        plans=[item["plan"] for item in items],
        patches=[item["patch"] for item in items],
        points=default_collate([item["points"] for item in items]),
    )


@torch.no_grad()
def degrade_crops(batch: CropBatch, gt_usm: bool) -> TrainBatch:
    """Carries out the plans on the batch's device, crops of one size together, and gathers what the network sees.

    Args:
        batch: on the device.
        gt_usm: whether to gather the sharpened target too.
    """
    plans, points = batch["plans"], batch["points"]
    sizes = [tuple(plan["size"]) for plan in plans]
    crops = [
        part.view(3, *size) for part, size in zip(batch["hr"].split([3 * h * w for h, w in sizes]), sizes, strict=True)
    ]
    lqs, targets = list(crops), list(crops)
    for size in dict.fromkeys(sizes):
        members = [i for i, each in enumerate(sizes) if each == size]
        pairs = degradations.pair_batch([plans[i] for i in members], torch.stack([crops[i] for i in members]))
        for i, lq, target in zip(members, *pairs, strict=True):
            lqs[i], targets[i] = lq, target

    def gather(images: list[Tensor]) -> Float[Tensor, "b 3 hq wq"]:
        return torch.stack([image[:, ys, xs] for image, ys, xs in zip(images, points["ys"], points["xs"], strict=True)])

    patches = zip(lqs, batch["patches"], strict=True)
    done = TrainBatch(
        lq=torch.stack([lq[:, top : top + n, left : left + n] for lq, (top, left, n) in patches]),
        coord=points["coord"],
        cell=points["cell"],
        gt=gather(crops),
    )
    if gt_usm:
        done["gt_usm"] = gather(targets)
    return done
