"""Degradation on the device against that in the loader's workers, which are each other's oracle."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_run import write_options

from realciao.data import TrainSet, build_train_loader, build_train_set
from realciao.errors import OptionError
from realciao.options.run import load_options
from realciao.training.interruption import Interrupted
from realciao.training.stage_run import StageRun
from realciao.training.trainer import Trainer

POINTS: dict[str, Any] = {"lq_size": 16, "sample_q": 60}
WINDOW: dict[str, Any] = {"window": 24}
EXECUTORS = ("opencv", "torch")


def make(executor: str, pipeline: Any = "bicubic", photos: Path | str = "builtin", **keys: Any) -> TrainSet:
    spec = {"type": "SyntheticDataset", "dataroot_gt": str(photos), "pipeline": pipeline, "executor": executor}
    return build_train_set({**spec, **keys}, scale_range=(1, 4), seed=0, gt_usm=True)


def batches(dataset: TrainSet, **keys: Any) -> list[Any]:
    loader = build_train_loader(dataset, **{"batch_size": 4, "num_workers": 0, "num_steps": 3, **keys})
    return [dataset.finish(batch) for batch in loader]


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


SHARPENED = {
    "target": {"type": "USM", "kernel_size": 51, "weight": 0.5, "threshold_8bit": 10},
    "steps": [{"type": "Resize", "relative_to": "lr", "mode": ["area", "bicubic"]}],
}

NOISY = {
    "steps": [{"type": "Resize", "relative_to": "lr", "mode": "area"}, {"type": "GaussianNoise", "sigma_8bit": 12}],
}


@pytest.mark.parametrize("pipeline", ["bicubic", SHARPENED], ids=["bicubic", "sharpened"])
@pytest.mark.parametrize("queries", [POINTS, WINDOW], ids=["points", "window"])
def test_both_executors_make_the_same_batches(queries: dict, pipeline: Any) -> None:
    for opencv, device in zip(*(batches(make(name, pipeline, **queries)) for name in EXECUTORS), strict=True):
        assert list(opencv) == list(device)
        for key in ("coord", "cell", "gt"):
            assert torch.equal(opencv[key], device[key]), key
        assert (opencv["gt_usm"] - device["gt_usm"]).abs().max() < 1e-4
        # a value on the edge of two levels of 8 bits could go either way; none of these does
        assert (opencv["lq"] - device["lq"]).abs().max() < 1e-4


def test_noise_has_the_same_distribution_from_both(tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), (128, 128, 128)).save(tmp_path / "grey.png")
    opencv, device = (
        torch.cat([batch["lq"].flatten() for batch in batches(make(name, NOISY, tmp_path, **POINTS))])
        for name in EXECUTORS
    )
    assert not torch.equal(opencv, device)
    for values in (opencv, device):  # 9216 of each, so that a standard error is 0.13 of a level
        assert 255 * values.mean() == pytest.approx(128, abs=0.5)
        assert 255 * values.std() == pytest.approx(12, abs=0.4)
    levels = [
        (255 * values).round().int().bincount(minlength=256).cumsum(0) / len(values) for values in (opencv, device)
    ]
    assert (levels[0] - levels[1]).abs().max() < 1.95 * (2 / len(opencv)) ** 0.5  # Kolmogorov-Smirnov, p = 0.001


def test_workers_and_neighbours_do_not_change_a_sample_by_a_bit() -> None:
    dataset = make("torch", "realesrgan", **POINTS)
    alone, helped = batches(dataset), batches(dataset, num_workers=2)
    assert all(map(same, alone, helped))
    shares = [batches(dataset, batch_size=2, rank=rank, world_size=2) for rank in range(2)]
    for whole, *parts in zip(alone, *shares, strict=True):
        assert same(whole, {key: torch.cat([part[key] for part in parts]) for key in whole})
    assert all(map(same, alone[1:], batches(dataset, first_draw=4, first_step=1, num_steps=2)))


def test_a_run_that_degrades_on_the_device_resumes_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(name: str, *more: str, **flags: bool) -> dict[str, torch.Tensor]:
        change = ["datasets.train.executor=torch", f"datasets.train.pipeline={NOISY}", f"name={name}", *more]
        change += ["stages.0.total_iter=2", "stages.1.total_iter=2", "logger.trackers=[]"]
        Trainer(load_options([write_options(tmp_path)], change), **flags).fit()
        return load_file(tmp_path / "experiments" / name / "models" / "net_g_latest.safetensors")

    whole = train("whole")
    with monkeypatch.context() as patch:
        patch.setattr("realciao.training.trainer.rehearse", lambda *_: None)
        original, steps = StageRun.step, iter(range(1, 100))

        def interrupted(self: StageRun, *arguments: Any) -> Any:
            if next(steps) == 3:
                signal.raise_signal(signal.SIGINT)
            return original(self, *arguments)

        patch.setattr(StageRun, "step", interrupted)
        with pytest.raises(Interrupted):
            train("parts", "datasets.train.num_workers=1")
    parts = train("parts", auto_resume=True)
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_an_executor_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cuda") as caught:
        make("cuda", **POINTS)
    assert caught.value.path == "executor"
