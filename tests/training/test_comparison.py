"""The picture and the table at the end of a run."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_run import write_options

from realciao.archs import build_network
from realciao.errors import OptionError, UserError
from realciao.figures.crops import busiest
from realciao.options.run import load_options
from realciao.training.comparison import PANEL_PX, Result, compare, draw_picture, pair_tables
from realciao.training.run_folder import RunFolder
from realciao.training.trainer import Trainer
from realciao.weights.checkpoint import save_weights


def test_the_busiest_crop_is_the_one_a_slow_search_finds() -> None:
    photo = np.random.default_rng(0).random((13, 17, 3), np.float32)
    photo[4:9, 6:12] *= 3
    grey = photo.mean(axis=2)
    energy = np.abs(np.diff(grey, axis=0, append=grey[-1:])) + np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    sums = {(y, x): energy[y : y + 5, x : x + 5].sum() for y in range(13 - 4) for x in range(17 - 4)}
    assert busiest(photo, 5) == max(sums, key=lambda place: sums[place])


def test_every_panel_of_a_row_shows_the_same_part_of_the_photo() -> None:
    ramp = np.linspace(0, 1, 300, dtype=np.float32)
    photo = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], 0.5), axis=2).copy()
    photo[200:204, 100:104] = 1  # something to be busy about
    results = [Result("same", 2.0, cv2.resize(photo, (600, 600), interpolation=cv2.INTER_LINEAR))]
    picture = draw_picture(photo, results).astype(float)
    left, right = picture[40:, 2 : 2 + PANEL_PX], picture[40:, PANEL_PX + 6 : 2 * PANEL_PX + 6]
    assert np.abs(left - right).mean() < 2


def test_a_run_ends_with_the_picture_the_table_and_the_photo_in_its_new_sizes(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.random.default_rng(0).integers(0, 256, (120, 110, 3), np.uint8))
    photo_options = {"image": str(photo), "scales": [1.5, 2.0]}
    options = load_options([write_options(tmp_path, compare=photo_options)])
    Trainer(options).fit()
    run = tmp_path / "experiments" / "tiny"
    with Image.open(run / "upscaled" / "photo_x1.5.png") as image:
        assert image.size == (165, 180)
    with Image.open(run / "comparison.png") as image:
        assert image.width == 4 * (PANEL_PX + 4)  # input, bicubic, two stages
    table = (run / "comparison.md").read_text()
    validation, on_the_photo = (_cells(text) for text in table.split("\n\n")[1::2])
    assert [row[0] for row in validation] == ["method", "bicubic", "stage 1 (psnr)", "stage 2 (gan)"]
    methods = ("bicubic", "stage 1 (psnr)", "stage 2 (gan)")
    assert [row[0] for row in on_the_photo[1:]] == [
        f"{method} x{scale}" for scale in ("1.5", "2") for method in methods
    ]
    assert on_the_photo[0] == ["method", "niqe", "piqe"]


def test_the_stages_run_on_the_device_that_is_given(tmp_path: Path) -> None:
    options = load_options([write_options(tmp_path, compare={"image": "builtin"})])
    run = RunFolder(options)
    for stage in options.stages:
        save_weights(build_network(options.network_g), run.weights_file(stage.name))
    with pytest.raises(UserError, match="abacus"):
        compare(options, run, device="abacus")


def test_a_photo_that_is_not_there_is_said_before_the_training(tmp_path: Path) -> None:
    options = load_options([write_options(tmp_path, compare={"image": "none.png"})])
    with pytest.raises(OptionError, match=r"compare\.image"):
        Trainer(options)
    assert not (tmp_path / "experiments").exists()


def test_a_score_that_is_null_or_was_not_measured_is_a_dash_in_the_table() -> None:
    rows = [
        {"step": 1, "stage": "a", "val": "pairs", "psnr": 9.0, "psnr_bicubic": 9.0},
        {"step": 2, "stage": "a", "l_g_pix": 0.1},
        {"step": 3, "stage": "a", "val": "pairs", "psnr": None, "psnr_bicubic": 20.0},
        {
            "step": 5,
            "stage": "b",
            "val": "pairs",
            "psnr": 21.5,
            "niqe": 4.0,
            "psnr_bicubic": 20.0,
            "niqe_bicubic": None,
        },
    ]
    (table,) = pair_tables(rows, {"a": "stage 1 (a)", "b": "stage 2 (b)"})
    assert _cells(table.split("\n\n")[1]) == [
        ["method", "psnr", "niqe"],
        ["bicubic", "20.0000", "-"],
        ["stage 1 (a)", "-", "-"],
        ["stage 2 (b)", "21.5000", "4.0000"],
    ]


def _cells(table: str) -> list[list[str]]:
    """The cells of a Markdown table without its rule."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    return [row for row in rows if set("".join(row)) != {"-"}]
