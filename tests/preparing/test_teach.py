"""`prepare_data.py teach`: what it makes follows from the request alone, and it goes on where it was stopped."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from exit_status import exit_status
from tiny_run import write_photos
from tiny_teacher import save_teacher

from realciao.commands import prepare_data
from realciao.data import SampleIndex, build_train_set
from realciao.data.taught_pairs import list_pairs, read_pair
from realciao.weights.teachers import read_teacher
from realciao.weights.teaching import RunningTeacher


@pytest.fixture
def request_of(tmp_path: Path) -> list[str]:
    """Its arguments but for the folder and the number of pairs."""
    photos = write_photos(tmp_path / "photos", edge=100)
    words = ["--teacher", save_teacher(tmp_path / "teacher.pth"), "--pipeline", "realesrgan", "--lq_size", "10"]
    return ["teach", "-i", str(photos), *words, "--seed", "5", "--features", "--gt", "--device", "cpu"]


def run(request_of: list[str], folder: Path, count: int, *more: str) -> int:
    return exit_status(prepare_data.main, *request_of, "-o", folder, "-n", count, *more)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def test_stopped_and_gone_on_gives_the_same_files(request_of: list[str], tmp_path: Path) -> None:
    assert run(request_of, tmp_path / "whole", 5) == 0
    assert run(request_of, tmp_path / "parts", 3) == 0
    list_pairs(tmp_path / "parts")[1].unlink()
    assert run(request_of, tmp_path / "parts", 5) == 0
    whole, parts = contents(tmp_path / "whole"), contents(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name in whole.keys() - {"taught.json"}:
        one, other = (read_pair(tmp_path / folder / name) for folder in ("whole", "parts"))
        assert np.array_equal(one.lq, other.lq)
        assert one.plan == other.plan
        # another batch may round another way
        assert np.abs(one.taught - other.taught).max() <= 1 / 255 + 1e-6


def test_live_patches_and_results_are_those_that_are_kept(request_of: list[str], tmp_path: Path) -> None:
    assert run(request_of, tmp_path / "pairs", 6) == 0
    spec = {
        "type": "SyntheticDataset",
        "dataroot_gt": str(tmp_path / "photos"),
        "pipeline": "realesrgan",
        "lq_size": 10,
        "sample_q": 50,
    }
    live = build_train_set(spec, scale_range=(1, 4), seed=5, gt_usm=False)
    teacher = RunningTeacher(read_teacher(tmp_path / "teacher.pth"), torch.device("cpu"))
    levels = []
    for draw, path in enumerate(list_pairs(tmp_path / "pairs")):
        lq = live[SampleIndex(draw, 0)]["lq"]
        pair = read_pair(path)
        assert np.array_equal(lq.permute(1, 2, 0).numpy(), pair.lq)
        taught = teacher(lq[None]).taught[0].permute(1, 2, 0).numpy()
        levels.append(np.rint(np.abs(taught - pair.taught) * 255))
    assert np.max(levels) <= 1  # another batch may round another way
    assert np.mean(levels) <= 0.001


def test_another_request_into_the_folder_is_refused(
    request_of: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(request_of, tmp_path / "pairs", 1) == 0
    before = contents(tmp_path / "pairs")
    assert run([*request_of, "--seed", "6"], tmp_path / "pairs", 2) == 2
    assert "holds pairs made with another seed; give another folder" in capsys.readouterr().err
    assert contents(tmp_path / "pairs") == before


def test_a_recipe_that_has_changed_since_is_another_request(
    request_of: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.yml"
    recipe.write_text("steps: [{type: Resize, relative_to: lr, mode: bicubic, antialias: true}]\n")
    own = [*request_of, "--pipeline", str(recipe)]
    assert run(own, tmp_path / "pairs", 1) == 0
    assert run(own, tmp_path / "pairs", 2) == 0
    recipe.write_text("steps: [{type: Resize, relative_to: lr, mode: area}]\n")
    assert run(own, tmp_path / "pairs", 3) == 2
    assert "made with another pipeline_sha256" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--scale_range", "4", "2"], "expected 1 <= LOW <= HIGH <= 30"),
        (["--teacher", "realesrgan-x4pluss"], "did you mean 'realesrgan-x4plus'?"),
        (["--pipeline", "realesrgn"], "realesrgan"),
        (["--lq_size", "100"], "no image is large enough"),
    ],
)
def test_a_wrong_request_is_one_line_and_leaves_nothing(
    request_of: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], problem: str
) -> None:
    assert run([*request_of, *more], tmp_path / "pairs", 1) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1
    assert not (tmp_path / "pairs").exists()


def test_the_folder_names_its_teacher(request_of: list[str], tmp_path: Path) -> None:
    assert run(request_of, tmp_path / "pairs", 1) == 0
    told = json.loads((tmp_path / "pairs" / "taught.json").read_text())["teacher"]
    assert told["name"] == "teacher.pth"
    assert told["licence"] == "unknown: check before sharing"


def test_a_number_without_end_is_refused_at_once(
    request_of: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(request_of, tmp_path / "pairs", 10**13) == 2
    assert "pairs take" in capsys.readouterr().err


def test_a_folder_of_other_things_is_left_alone(
    request_of: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").rename(tmp_path / "other")
    assert run([*request_of, "-i", str(tmp_path / "other")], tmp_path / "other", 1) == 2
    assert "holds other files, and no taught pairs (no taught.json); give a new or an empty" in capsys.readouterr().err
    assert not (tmp_path / "other" / "taught.json").exists()
