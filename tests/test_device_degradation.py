"""Degradation on the device against that in the loader's workers, which are each other's oracle."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import tiny_options, write_options

from realciao.data import TrainSet, build_train_loader, build_train_set
from realciao.options import load_options
from realciao.trainer import Trainer

POINTS = {"lq_size": 16, "sample_q": 60}
WINDOW = {"window": 24}
EXECUTORS = ("opencv", "torch")


def make(executor: str, pipeline: Any = "bicubic", **keys: Any) -> TrainSet:
    spec = {"type": "SyntheticDataset", "dataroot_gt": "builtin", "pipeline": pipeline, "executor": executor, **keys}
    return build_train_set(spec, scale_range=(1, 4), seed=0, gt_usm=True)


def batches(dataset: TrainSet, **keys: Any) -> list[Any]:
    loader = build_train_loader(dataset, **{"batch_size": 4, "num_workers": 0, "num_steps": 3, **keys})
    return [dataset.finish(batch) for batch in loader]


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


SHARPENED = {
    "target": {"type": "USM", "kernel_size": 51, "weight": 0.5, "threshold_8bit": 10},
    "steps": [{"type": "Resize", "relative_to": "lr", "mode": ["area", "bicubic"]}],
}


@pytest.mark.parametrize("pipeline", ["bicubic", SHARPENED], ids=["bicubic", "sharpened"])
@pytest.mark.parametrize("queries", [POINTS, WINDOW], ids=["points", "window"])
def test_both_executors_make_the_same_batches(queries: dict, pipeline: Any) -> None:
    for opencv, device in zip(*(batches(make(name, pipeline, **queries)) for name in EXECUTORS), strict=True):
        assert list(opencv) == list(device)
        for key in ("coord", "cell", "gt"):
            assert torch.equal(opencv[key], device[key]), key
        assert (opencv["gt_usm"] - device["gt_usm"]).abs().max() < 1e-4
        # a value on the edge of two levels of 8 bits may go either way
        apart = (opencv["lq"] - device["lq"]).abs()
        assert apart.max() < 1.001 / 255
        assert (apart > 1e-4).float().mean() < 2e-3
