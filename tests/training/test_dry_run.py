"""What a dry run predicts against what a run then takes, and what it says of the data against what was planted."""

from pathlib import Path

import cv2
import pytest
import torch
from tiny_run import write_options

from realciao.data import build_val_set
from realciao.options.run import load_options
from realciao.preparing.run_audit import audit
from realciao.training.estimate import StageCost, _duration, describe_costs, measure_stage
from realciao.training.run_folder import RunFolder
from realciao.training.stage_run import StageRun
from realciao.training.trainer import Trainer

WIDE = ["network_g.encoder.num_feat=48", "stages.0.total_iter=3", "stages.1.total_iter=2", "logger.save_every=2"]


def test_files_take_the_disk_that_was_predicted(tmp_path: Path) -> None:
    options = load_options([write_options(tmp_path)], WIDE)
    trainer = Trainer(options)
    sets, metrics = list(trainer.val_sets.values()), trainer.metrics
    costs = [measure_stage(options, index, trainer.accelerator, None, sets, metrics) for index in (0, 1)]
    assert not (tmp_path / "experiments").exists()
    trainer.fit()
    run = RunFolder(options)
    taken = sum(path.stat().st_size for root in (run.checkpoints, run.models) for path in root.rglob("*.*"))
    predicted = sum(cost.files_bytes(options.logger.save_every, None) for cost in costs)
    assert predicted == pytest.approx(taken, rel=0.35)  # each stage's and the run's latest weights are counted alike
    net = StageRun(options, 0).net_g
    assert costs[0].parameters_g == sum(p.numel() for p in net.parameters())
    assert costs[0].state_bytes >= 4 * 4 * costs[0].parameters_g  # weights, average, and Adam's two moments
    assert costs[0].parameters_d == 0 < costs[1].parameters_d
    assert all(cost.step_s > 0 and cost.memory_gib > 0.05 for cost in costs)
    text = describe_costs(options, costs, torch.device("cpu"))
    assert "| psnr " in text
    assert "1 process on cpu" in text


def cost(tmp_path: Path, workers: int, **changes: float) -> StageCost:
    options = load_options([write_options(tmp_path)], [f"datasets.train.num_workers={workers}"])
    plain = StageCost(options.stages[0], 1, 10**6, 0, 1.0, 1.5, 3.0, 1.0, 0, 0, 0.0)
    return plain._replace(**changes)


@pytest.mark.parametrize(
    ("workers", "on_cpu", "cores", "seconds"),
    [
        (0, False, 8, 4.0),  # one after the other
        (2, False, 8, 1.5),  # two workers take 1.5 s for what is a second's step
        (8, False, 8, 1.0),  # the step is the slowest
        (8, True, 2, 2.25),  # two cores have 4.5 s of work
    ],
)
def test_an_iteration_takes_as_long_as_its_slowest_part(
    tmp_path: Path, workers: int, on_cpu: bool, cores: int, seconds: float
) -> None:
    assert cost(tmp_path, workers).iteration_s(on_cpu, cores) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "0.012 s"), (59, "59 s"), (725, "12 min 5 s"), (12_000, "3 h 20 min"), (10**6, "11 d 13 h")],
)
def test_times_have_two_figures(seconds: float, text: str) -> None:
    assert _duration(seconds) == text


def test_the_audit_finds_a_broken_file_and_a_photo_that_is_validated_on(tmp_path: Path) -> None:
    options = load_options([write_options(tmp_path)])
    photos = tmp_path / "photos"
    other = tmp_path / "other"
    other.mkdir()
    cv2.imwrite(str(other / "mirrored.png"), cv2.imread(str(photos / "photo_1.png"))[:, ::-1])
    data = (photos / "photo_2.png").read_bytes()
    (photos / "photo_2.png").write_bytes(data[: len(data) // 2])
    val_set = build_val_set({"type": "ImageFolder", "dataroot_lq": str(other), "scale": 2}, seed=0)
    said = audit([StageRun(options, 0).dataset], {"other": val_set})
    assert "training files, all 3: 1 corrupt" in said
    assert f"{photos / 'photo_1.png'} and {other / 'mirrored.png'}: is validated on" in said
