"""Scores of a network on validation sets, beside bicubic's on the same items."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from realciao.batch import EvalItem
from realciao.metrics.metric import Metric

Scores = dict[str, float]


def score_network(net: nn.Module, items: Iterable[EvalItem], metrics: Sequence[Metric]) -> list[Scores]:
    """One row of scores per item: each metric of the network's result, and of bicubic interpolation's as `NAME_bicubic`.

    Args:
        net: maps an LR image to a size by its `upscale`.
        items: those without a ground truth are scored by the metrics that need none.
        metrics: from `build_metric`.
    """
    device = next(net.parameters()).device
    return [row for item in items if (row := _score(net, item, metrics, device))]


def means(rows: Sequence[Scores]) -> Scores:
    """Mean of each score over the rows in which it is a number."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.nanmean([row.get(name, np.nan) for row in rows])) for name in names}


def upscale_bicubic(lq: Float[np.ndarray, "h w 3"], size: tuple[int, int]) -> Float[np.ndarray, "H W 3"]:
    """Bicubic interpolation (a = -0.5, Pillow's and MATLAB's), clipped to [0, 1]."""
    tensor = torch.from_numpy(lq).permute(2, 0, 1)[None]
    # torch takes a = -0.5 with antialias, which in upscaling changes nothing else
    large = torch.nn.functional.interpolate(tensor, size, mode="bicubic", antialias=True, align_corners=False)
    return large[0].permute(1, 2, 0).clamp(0, 1).numpy()


def _score(net: nn.Module, item: EvalItem, metrics: Sequence[Metric], device: torch.device) -> Scores:
    gt = item.get("gt")
    possible = [metric for metric in metrics if gt is not None or not metric.needs_gt]
    if not possible:
        return {}
    lq = torch.from_numpy(item["lq"]).permute(2, 0, 1)[None].to(device)
    pred = net.upscale(lq, item["size"])[0].permute(1, 2, 0).float().cpu().numpy()  # type: ignore[operator]
    bicubic = upscale_bicubic(item["lq"], item["size"])
    return {metric.name: metric(pred, gt) for metric in possible} | {
        f"{metric.name}_bicubic": metric(bicubic, gt) for metric in possible
    }
