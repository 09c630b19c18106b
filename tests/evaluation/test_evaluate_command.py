"""`evaluate.py` from the command line: what it prints, writes and exits with."""

import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from exit_status import exit_status

from realciao.commands import progress_line
from realciao.commands.evaluate import main
from realciao.images.reading import write_image


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """sr/ and gt/ with two images of noise each."""
    rng = np.random.default_rng(0)
    for name in ("sr/a.png", "sr/b.png", "gt/a.png", "gt/b.png"):
        write_image(tmp_path / name, rng.integers(0, 256, (16, 20, 3), dtype=np.uint8))
    return tmp_path


run = partial(exit_status, main)


def test_a_folder_is_scored_and_the_last_lines_name_the_files(folders: Path, capsys: pytest.CaptureFixture[str]):
    out = folders / "out"
    assert run("--sr", folders / "sr", "--gt", folders / "gt", "--metrics", "psnr_y", "SSIM", "-o", out) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-3:] == [str(out / f"metrics.{kind}") for kind in ("csv", "json", "md")]
    assert any(line.startswith("| psnr_y ↑") for line in printed)
    assert json.loads((out / "metrics.json").read_text())["n"] == {"psnr_y": 2, "ssim": 2}


def test_the_report_goes_to_results_under_the_folders_name_unless_told(folders: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folders)
    assert run("--sr", "sr", "--gt", "gt", "--metrics", "psnr") == 0
    assert (folders / "results" / "sr" / "metrics.csv").is_file()


def test_a_corrupt_image_is_named_the_others_are_scored_and_the_exit_status_is_1(
    folders: Path, capsys: pytest.CaptureFixture[str]
):
    (folders / "sr" / "b.png").write_bytes((folders / "sr" / "b.png").read_bytes()[:200])
    out = folders / "out"
    assert run("--sr", folders / "sr", "--gt", folders / "gt", "--metrics", "psnr", "-o", out) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith("not scored: b.png: ")
    assert [row["image"] for row in csv.DictReader((out / "metrics.csv").open())] == ["a.png"]
    assert json.loads((out / "metrics.json").read_text())["failures"][0]["image"] == "b.png"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--sr", "sr", "--metrics", "psnr", "ssim_y"], "psnr, ssim_y compare with a ground truth"),
        (["--sr", "sr", "--metrics", "nique"], "no metric 'nique'; did you mean 'niqe'?"),
        (["--sr", "nowhere", "--metrics", "niqe"], "nowhere: no such folder"),
        (["--sr", "empty", "--metrics", "niqe"], "empty: holds no image"),
        (["--sr", "sr", "--gt", "nowhere", "--metrics", "psnr"], "nowhere: no such folder"),
        (["--sr", "sr/a.png", "--metrics", "niqe"], "sr/a.png: is a file"),
        (["--sr", "sr", "--gt", "gt", "--metrics", "psnr", "--crop_border", "-1"], "crop_border must not be negative"),
        (["--sr", "sr", "--gt", "gt", "--metrics", "psnr", "-o", "sr/a.png"], "sr/a.png is a file"),
        (["--sr", "sr", "--metrics", "niqe", "--iqa_params", "nowhere"], "iqa_params: no folder nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2_and_nothing_is_written(
    folders: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
):
    monkeypatch.chdir(folders)
    (folders / "empty").mkdir()
    before = sorted(folders.rglob("*"))
    assert run(*arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert problem in error[0]
    assert sorted(folders.rglob("*")) == before


def test_a_long_run_says_how_far_it_is(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(progress_line, "REPORT_EVERY_S", 0)
    assert run("--sr", folders / "sr", "--gt", folders / "gt", "--metrics", "psnr", "-o", folders / "out") == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["1/2 a.png", "2/2 b.png"]
