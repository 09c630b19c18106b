"""Training with a teacher: its targets against torch's resize, and runs that stop, go on and share the work."""

import multiprocessing
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import yaml
from exit_status import exit_status
from tiny_run import tiny_options
from tiny_teacher import save_pairs, save_teacher
from two_processes import enter_process, open_store

import realciao
import realciao.train
from realciao.batch import TrainBatch
from realciao.coords import make_cell, make_coord
from realciao.errors import OptionError, UserError
from realciao.options.run import Options, TeacherOptions, load_options
from realciao.training.engine import make_accelerator
from realciao.training.run_state import load_state
from realciao.training.stage_run import StageRun
from realciao.training.teacher import LiveTeacher
from realciao.training.trainer import Trainer
from realciao.weights.header import read_header
from realciao.weights.teachers import read_teacher

HEAD = {"type": "LIIFDecoder", "hidden": [8]}
SHAPES: dict[str, dict[str, Any]] = {
    "map": {"encoder": {"type": "TrunkEncoder", "weights": "teacher", "at": "map"}, "zero_start": True},
    "trunk": {"encoder": {"type": "TrunkEncoder", "weights": "teacher"}, "res": False},
    "small": {"encoder": {"type": "SmallEncoder", "num_feat": 4, "num_block": 1}},
}


def make_options(folder: Path, shape: str, taught: bool = False, **changes: Any) -> Options:
    """A run of four steps of one stage with a teacher: live, or from pairs with features."""
    folder.mkdir(exist_ok=True)
    teacher = save_teacher(folder / "teacher.pth")
    options = tiny_options(folder)
    photos = folder / "photos"
    stage = options.pop("stages")[0] | {"pixel_opt": {"type": "L1Loss", "target": "teacher"}}
    del stage["name"]
    if shape != "small":
        stage["freeze"] = ["encoder"]
    if taught:
        pairs = save_pairs(folder / "pairs", photos, teacher, features=True)
        data = {"type": "TaughtDataset", "dataroot": pairs, "sample_q": 16, "batch_size": 2, "num_workers": 0}
        options["datasets"]["train"] = data
    network = {"type": "CiaoSR", "decoder": HEAD, "rgb_mean": [0, 0, 0], **SHAPES[shape]}
    options |= {"teacher": {"model": teacher}, "network_g": network, "train": stage} | changes
    path = folder / "run.yml"
    path.write_text(yaml.safe_dump(options), encoding="utf-8")
    return load_options([path])


def weights(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "models" / "net_g_latest.safetensors")


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


# The target


@pytest.fixture
def live(tmp_path: Path) -> LiveTeacher:
    model = save_teacher(tmp_path / "teacher.pth")
    return LiveTeacher(read_teacher(model), TeacherOptions(model=model), torch.device("cpu"))


def whole(lq: torch.Tensor, size: tuple[int, int]) -> TrainBatch:
    coord, cell = make_coord(size)[None], make_cell(size)[None]
    b = len(lq)
    gt = torch.full((b, 3, *size), 0.25)
    return TrainBatch(lq=lq, coord=coord.expand(b, -1, -1, -1), cell=cell.expand(b, -1), gt=gt)


@pytest.mark.parametrize("size", [(36, 44), (27, 33), (12, 11), (18, 22)])
def test_the_target_is_the_result_reduced_as_torch_does(live: LiveTeacher, size: tuple[int, int]) -> None:
    lq = torch.rand(2, 3, 9, 11)
    large = live.running(lq).taught
    small = F.interpolate(large, size, mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(live.add_to(whole(lq, size))["teacher"], small, atol=2e-5, rtol=0)


def test_random_points_see_what_the_grid_sees(live: LiveTeacher) -> None:
    lq = torch.rand(2, 3, 9, 11)
    batch = whole(lq, (20, 25))
    target = live.add_to(batch)["teacher"]
    chosen = torch.randperm(500)[:40]
    points = {**batch, "coord": batch["coord"].reshape(2, 1, 500, 2)[:, :, chosen], "gt": torch.zeros(2, 3, 1, 40)}
    seen = live.add_to(cast(TrainBatch, points))["teacher"]
    torch.testing.assert_close(seen[:, :, 0], target.flatten(2)[:, :, chosen], atol=1e-5, rtol=0)


def test_above_the_teachers_scale_a_sample_learns_from_the_original_and_the_others_do_not(live: LiveTeacher) -> None:
    lq = torch.rand(2, 3, 8, 8)
    above, below = whole(lq[:1], (40, 40)), whole(lq[:1], (30, 30))
    batch = {
        "lq": lq,
        "coord": torch.cat([above["coord"][:, :1, :30], below["coord"][:, :1, :30]]),
        "cell": torch.cat([above["cell"], below["cell"]]),
        "gt": torch.full((2, 3, 1, 30), 0.25),
    }
    target = live.add_to(cast(TrainBatch, batch))["teacher"]
    assert bool((target[0] == 0.25).all())
    assert not bool((target[1] == 0.25).any())
    at_its_own = live.add_to(whole(lq[:1], (32, 32)))["teacher"]
    torch.testing.assert_close(at_its_own, live.running(lq[:1]).taught, atol=1e-6, rtol=0)


# Runs


def test_a_map_student_is_its_teacher_before_the_first_step(tmp_path: Path) -> None:
    options = make_options(tmp_path, "map")
    net = StageRun(options, 0).net_g.eval()
    teacher = read_teacher(str(options.teacher_model)).build()
    lq = torch.rand(1, 3, 12, 15)
    torch.testing.assert_close(net.upscale(lq, (48, 60)), teacher(lq).clamp(0, 1), atol=1e-5, rtol=0)
    small = F.interpolate(teacher(lq), (28, 36), mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(net.upscale(lq, (28, 36)), small, atol=3e-5, rtol=0)


@pytest.mark.parametrize(
    ("shape", "taught"), [("map", False), ("trunk", False), ("small", False), ("map", True), ("trunk", True)]
)
def test_a_run_with_a_teacher_resumes_bit_for_bit(tmp_path: Path, shape: str, taught: bool) -> None:
    options = make_options(tmp_path, shape, taught)
    Trainer(options).fit()
    run = tmp_path / "experiments" / "tiny"
    first = weights(run)
    moved = torch.load(run / "checkpoints" / "step_4" / "state.pt", weights_only=True)["stage"]["net_g"]
    shutil.rmtree(run / "checkpoints" / "step_4")
    Trainer(options, auto_resume=True).fit()
    assert_same(weights(run), first)
    again = load_state(run / "checkpoints" / "step_4")["stage"]["net_g"]
    assert_same(again, moved)


def test_a_frozen_trunk_that_is_kept_does_not_run_in_a_step(tmp_path: Path) -> None:
    stage_run = StageRun(make_options(tmp_path, "map", taught=True), 0)

    def refuse(*_: Any) -> None:
        raise AssertionError("the trunk runs")

    assert stage_run.dataset_resumes
    stage_run.net_g.encoder.trunk.register_forward_pre_hook(refuse)
    batch = stage_run.dataset.first(2)
    pred = stage_run.net_g(batch["lq"], batch["coord"], batch["cell"], batch["kept"])
    pred.mean().backward()
    assert all(p.grad is None for p in stage_run.net_g.encoder.parameters())
    with pytest.raises(AssertionError, match="the trunk runs"):
        stage_run.net_g(batch["lq"], batch["coord"], batch["cell"])


@pytest.mark.parametrize("shape", ["map", "trunk"])
def test_a_live_teacher_and_its_student_run_their_trunk_once(tmp_path: Path, shape: str) -> None:
    stage_run = StageRun(make_options(tmp_path, shape), 0)
    stage_run.start(make_accelerator(stage_run_options(tmp_path), [], str(tmp_path)), None)
    assert stage_run.live_teacher
    runs: list[int] = []
    for encoder in (stage_run.raw_g.encoder, stage_run.live_teacher.running.encoder):
        encoder.trunk.register_forward_pre_hook(lambda *_: runs.append(1))
    stage_run.step([stage_run.dataset.first(2)], 0)
    assert len(runs) == 1


def stage_run_options(folder: Path) -> Options:
    return load_options([folder / "run.yml"])


def test_what_is_kept_gives_what_running_the_trunk_gives(tmp_path: Path) -> None:
    for shape in ("map", "trunk"):
        stage_run = StageRun(make_options(tmp_path / shape, shape, taught=True), 0)
        batch = stage_run.dataset.first(2)
        inputs = (batch["lq"], batch["coord"], batch["cell"])
        with torch.no_grad():
            kept, run = stage_run.net_g(*inputs, batch["kept"]), stage_run.net_g(*inputs)
        torch.testing.assert_close(kept, run, atol=5e-3, rtol=5e-3)  # the map is kept in float16


def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    options = make_options(tmp_path / "one", "map", **{"name": "one"})
    Trainer(options).fit()
    store = open_store()
    context = multiprocessing.get_context("fork")
    half = ["name=two", "datasets.train.batch_size=1"]
    both = [
        context.Process(target=_train_in_process, args=(rank, store.port, tmp_path / "one", half)) for rank in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
        process.kill()
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    one, two = (weights(tmp_path / "one" / "experiments" / name) for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-5, rtol=1e-4)


def _train_in_process(rank: int, port: int, folder: Path, overrides: list[str]) -> None:
    enter_process(rank, port)
    Trainer(load_options([folder / "run.yml"], overrides)).fit()


def test_the_file_of_a_student_names_its_teacher(tmp_path: Path) -> None:
    options = make_options(tmp_path, "small")
    Trainer(options).fit()
    header = read_header(tmp_path / "experiments" / "tiny" / "models" / "net_g_latest.safetensors")
    assert header["teacher"]["name"] == "teacher.pth"
    assert header["teacher"]["licence"] == "unknown: check before sharing"
    assert len(header["teacher"]["sha256"]) == 64


def test_a_trunk_of_one_teacher_that_learns_from_another_names_both(tmp_path: Path) -> None:
    other = save_teacher(tmp_path / "other.pth", seed=1)
    encoder = {"type": "TrunkEncoder", "weights": other}
    options = make_options(tmp_path, "trunk", network_g={"type": "CiaoSR", "encoder": encoder, "decoder": HEAD})
    Trainer(options).fit()
    header = read_header(tmp_path / "experiments" / "tiny" / "models" / "net_g_latest.safetensors")
    assert (header["trunk"]["name"], header["teacher"]["name"]) == ("other.pth", "teacher.pth")


def test_a_teacher_that_is_missing_is_one_line_at_its_key(tmp_path: Path) -> None:
    options = make_options(tmp_path, "small")
    (tmp_path / "teacher.pth").unlink()
    with pytest.raises(OptionError, match="no such model") as caught:
        StageRun(options, 0)
    assert caught.value.path == "stages.0.teacher.model"


def test_a_teacher_that_has_changed_since_the_run_began_is_refused(tmp_path: Path) -> None:
    options = make_options(tmp_path, "trunk")
    Trainer(options).fit()
    shutil.rmtree(tmp_path / "experiments" / "tiny" / "checkpoints" / "step_4")
    save_teacher(tmp_path / "teacher.pth", seed=1)
    with pytest.raises(UserError, match="is not the file that the run began with"):
        Trainer(options, auto_resume=True).fit()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("teacher=null", "network_g.encoder.weights: stands for the teacher"),
        ("teacher.model=nope.pth", ": teacher.model: nope.pth: no such model"),
        ("train.pixel_opt.target=techer", "expected gt, usm or teacher"),
        ("teacher.modl=x", "did you mean 'model'?"),
    ],
)
def test_a_wrong_option_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, problem: str
) -> None:
    make_options(tmp_path, "trunk")
    assert exit_status(realciao.train.main, "-opt", tmp_path / "run.yml", "--set", change) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1


def test_the_dry_run_says_what_the_teacher_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_options(tmp_path, "small")
    assert exit_status(realciao.train.main, "-opt", tmp_path / "run.yml", "--dry_run") == 0
    assert "the teacher takes" in capsys.readouterr().out
    assert not np.any([path.name == "experiments" for path in tmp_path.iterdir()])
