"""The picture and the table at the end of a run."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_run import write_options

from realciao.comparison import PANEL_PX, Result, busiest, draw_picture
from realciao.errors import OptionError
from realciao.options import load_options
from realciao.trainer import Trainer


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
    compare = {"image": str(photo), "scales": [1.5, 2.0]}
    options = load_options([write_options(tmp_path, compare=compare)])
    Trainer(options).fit()
    run = tmp_path / "experiments" / "tiny"
    with Image.open(run / "upscaled" / "photo_x1.5.png") as image:
        assert image.size == (165, 180)
    with Image.open(run / "comparison.png") as image:
        assert image.width == 4 * (PANEL_PX + 4)  # input, bicubic, two stages
    table = (run / "comparison.md").read_text()
    for wanted in ("`pairs`", "| bicubic |", "| psnr |", "| gan |", "bicubic x1.5", "gan x2", "niqe", "piqe"):
        assert wanted in table


def test_a_photo_that_is_not_there_is_said_before_the_training(tmp_path: Path) -> None:
    options = load_options([write_options(tmp_path, compare={"image": "none.png"})])
    with pytest.raises(OptionError, match=r"compare\.image"):
        Trainer(options)
    assert not (tmp_path / "experiments").exists()
