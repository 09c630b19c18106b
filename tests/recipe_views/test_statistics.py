"""Statistics of recipes against closed forms, scikit-image, and what the recipe says."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from exit_status import exit_status
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

import degradations
from realciao.commands.degrade import main
from realciao.data import builtin_photo
from realciao.images.reading import read_rgb, upscale_bicubic
from realciao.recipe_views.statistics import Row, measure_image, middle, summarise

RECIPE = """
steps:
  - {type: GaussianBlur, kernel_size: 21, sigma_px: 2}
  - {type: GaussianNoise, sigma_8bit: [4, 6]}
  - {type: Resize, relative_to: lr, mode: bicubic, antialias: true}
  - {type: JPEG, quality: [50, 60]}
"""


_run = partial(exit_status, main)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    photo = read_rgb(builtin_photo("chelsea"))
    for number in range(2):
        part = photo[64 * number : 64 * number + 64, 100:164]
        Image.fromarray(np.rint(part * 255).astype(np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "recipe.yml").write_text(RECIPE)
    return folder


def test_statistics_agree_with_the_recipe_and_are_drawn(photos: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    args = ("-i", photos, "-o", out, "--pipeline", tmp_path / "recipe.yml", "--stats", "--draws", "3")
    assert _run(*args, "--scale", "2", "1", "4") == 0
    data = json.loads((out / "stats.json").read_text())
    assert list(data["summary"]) == ["1", "2", "4"]
    assert len(data["rows"]) == 3 * 2 * 3
    for summary in data["summary"].values():
        assert 3.9 < summary["noise_sigma_8bit"]["p5"] < summary["noise_sigma_8bit"]["p95"] < 6.1
        assert 50 <= summary["quality"]["p5"] <= summary["quality"]["p95"] <= 60
        assert summary["blur_sigma_px"]["p5"] > 1.9
    blur = [summary["blur_sigma_px"]["mean"] for summary in data["summary"].values()]
    psnr = [summary["psnr_db"]["mean"] for summary in data["summary"].values()]
    assert blur == sorted(blur)
    assert blur[0] == pytest.approx(2, rel=0.02)
    assert psnr == sorted(psnr, reverse=True)
    assert all(row["psnr_db"] < row["psnr_bicubic_db"] for row in data["rows"])
    for name in ("stats.png", "severity.png"):
        with Image.open(out / name) as figure:
            assert figure.width > 600
    assert "| x4 " in capsys.readouterr().out
    assert _run(*args) == 2
    assert "give --overwrite" in capsys.readouterr().err


def test_a_row_is_the_pair_that_the_ordinary_run_makes(photos: Path) -> None:
    image = read_rgb(photos / "0.png")
    pipeline = degradations.build_pipeline("realesrgan")
    row = measure_image(pipeline, "0.png", image, [3.0], seed=9, numbers=[1])[0]
    plan = pipeline.sample(np.random.Generator(np.random.Philox(key=[9, 1])), (64, 64), 3.0)
    large = upscale_bicubic(degradations.apply(plan, image), (64, 64))
    assert row.psnr_db == pytest.approx(peak_signal_noise_ratio(image, large, data_range=1), abs=1e-3)


def test_the_summary_is_numpys() -> None:
    rows = [Row("a", 2.0, float(value), 9.0, 1.0, [1.0] * value, [], []) for value in range(5)]
    summary = summarise(rows)["2"]
    assert summary["psnr_db"] == {
        "n": 5,
        "mean": 2.0,
        "sd": np.sqrt(2),
        "p5": 0.2,
        "p25": 1,
        "p50": 2,
        "p75": 3,
        "p95": 3.8,
    }
    assert summary["noise_sigma_8bit"]["n"] == 10
    assert summary["quality"] == {"n": 0}


def test_the_middle_of_an_image_is_what_is_measured() -> None:
    image = np.arange(300 * 90 * 3, dtype=np.float32).reshape(300, 90, 3)
    np.testing.assert_array_equal(middle(image), image[22:278])
    np.testing.assert_array_equal(middle(image[:5, :1]), image[:5, :1])


def test_a_recipe_without_noise_and_codecs_and_tiny_images_have_statistics_too(tmp_path: Path, capsys) -> None:
    for name, size in (("dot", (1, 1)), ("tiny", (9, 8))):
        Image.new("L", size, 77).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"")
    args = (
        "-i",
        tmp_path,
        "-o",
        tmp_path / "out",
        "--pipeline",
        "bicubic",
        "--stats",
        "--draws",
        "1",
        "--scale",
        "2",
        "16",
    )
    assert _run(*args) == 1
    captured = capsys.readouterr()
    assert "broken.png" in captured.err
    assert len(captured.err.splitlines()) == 1
    assert len(json.loads((tmp_path / "out" / "stats.json").read_text())["rows"]) == 4
