"""Scores of a network on validation sets, beside bicubic's on the same items."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import nn

from realciao.batch import EvalItem
from realciao.evaluation.folder import score
from realciao.images.reading import to_array, to_tensor, upscale_bicubic
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
    numbers = {name: [value for row in rows if not np.isnan(value := row.get(name, np.nan))] for name in names}
    return {name: float(np.mean(values)) if values else np.nan for name, values in numbers.items()}


def _score(net: nn.Module, item: EvalItem, metrics: Sequence[Metric], device: torch.device) -> Scores:
    gt = item.get("gt")
    if not any(gt is not None or not metric.needs_gt for metric in metrics):
        return {}
    pred = to_array(net.upscale(to_tensor(item["lq"]).to(device), item["size"]))  # type: ignore[operator]
    bicubic = score(upscale_bicubic(item["lq"], item["size"]), gt, metrics)
    return score(pred, gt, metrics) | {f"{name}_bicubic": value for name, value in bicubic.items()}
