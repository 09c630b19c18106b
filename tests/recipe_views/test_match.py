"""Match: photos that a known recipe made are told from those of another, and the ranges lead back to it."""

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from exit_status import exit_status
from PIL import Image

import degradations
from degradations.estimate import noise_sigma_8bit
from realciao.commands.degrade import main
from realciao.data import builtin_photo
from realciao.images.reading import ImageError, read_luma_table, read_rgb
from realciao.recipe_views import match as degradation_match
from realciao.recipe_views.advice import compare
from realciao.recipe_views.match import Look, look_at_photo, look_at_result

_run = partial(exit_status, main)


def look(noise: float, drawn: float | None = None) -> Look:
    return Look(noise, math.nan, 1.0, math.nan, {"noise_sigma_8bit": {"Noise.sigma_8bit": [drawn]}} if drawn else {})


def test_a_range_that_is_too_wide_is_narrowed_to_what_made_results_like_the_photos() -> None:
    photos = [look(noise) for noise in np.linspace(2, 9, 40)]
    made = [look(0.9 * sigma, sigma) for sigma in np.linspace(1, 28, 200)]
    verdict = compare(photos, made)["noise_sigma_8bit"]
    # 90 % of the photos have 2.35 to 8.65, which 2.6 to 9.6 made; of these again the middle 90 %
    assert verdict.ranges["Noise.sigma_8bit"] == pytest.approx([1, 9.3], abs=0.5)
    assert "your photos 2.35 to 8.65, the recipe's 2.12 to 24" in verdict.words
    assert "Noise.sigma_8bit [1, 9.2] instead of [1, 28]" in verdict.words


def test_a_range_that_ends_too_early_is_raised_in_proportion() -> None:
    photos = [look(noise) for noise in np.linspace(2, 40, 40)]
    made = [look(sigma, sigma) for sigma in np.linspace(1, 20, 100)]
    verdict = compare(photos, made)["noise_sigma_8bit"]
    assert verdict.ranges["Noise.sigma_8bit"] == pytest.approx([1, 40], rel=0.06)
    assert "of your photos have more" in verdict.words


def test_a_recipe_that_is_never_clean_should_let_some_images_go() -> None:
    photos = [look(noise) for noise in np.linspace(0, 20, 60) ** 2 / 20]
    made = [look(sigma, sigma) for sigma in np.linspace(8, 20, 100)]
    words = compare(photos, made)["noise_sigma_8bit"].words
    assert "have less than nearly all results: make Noise.sigma_8bit weaker, or with a `prob`" in words


def test_equal_sets_agree() -> None:
    rng = np.random.default_rng(0)
    photos, made = ([look(sigma, sigma) for sigma in rng.uniform(1, 20, 200)] for _ in range(2))
    found = compare(photos, made)
    assert found["noise_sigma_8bit"].words.endswith("They agree.")
    assert not found["noise_sigma_8bit"].ranges
    assert "blur_sigma_px" not in found  # which none of them has


def test_a_result_is_judged_with_what_was_drawn_for_it() -> None:
    image = np.full((64, 64, 3), 0.5, np.float32)
    recipe = {
        "steps": [
            {"type": "GaussianBlur", "kernel_size": 9, "sigma_px": 1.5},
            {"type": "Resize", "relative_to": "lr", "mode": "area"},
            {"type": "GaussianNoise", "sigma_8bit": 8},
            {"type": "JPEG", "quality": 90},
        ]
    }
    plan = degradations.build_pipeline(recipe).sample(np.random.default_rng(0), (64, 64), 1)
    found = look_at_result(plan, image)
    assert found.drawn == {
        "noise_sigma_8bit": {"GaussianNoise.sigma_8bit": [8.0]},
        "blur_sigma_px": {"GaussianBlur.sigma_px": [pytest.approx(1.5)]},
        "blockiness": {"JPEG.quality": [90.0]},
        "jpeg_quality": {"JPEG.quality": [90.0]},
    }
    assert found.jpeg_quality == 90
    assert found.noise_sigma_8bit == noise_sigma_8bit(degradations.apply(plan, image))


def test_of_a_large_photo_the_middle_is_judged_from_where_a_block_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(degradation_match, "CROP_PX", 128)
    image = np.zeros((204, 145, 3), np.float32)
    image[32:160, 8:136] = np.random.default_rng(0).normal(0.5, 10 / 255, (128, 128, 3))
    assert look_at_photo(image, None).noise_sigma_8bit == pytest.approx(10, rel=0.05)


def test_tables_are_read_of_jpeg_files_only(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    Image.new("L", (9, 9)).save(tmp_path / "grey.jpg", quality=60)
    assert len(read_luma_table(tmp_path / "a.jpg") or ()) == 64
    assert len(read_luma_table(tmp_path / "grey.jpg") or ()) == 64
    Image.new("RGB", (9, 9)).save(
        tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))]
    )
    assert len(read_luma_table(tmp_path / "phone.jpg") or ()) == 64
    assert read_luma_table(tmp_path / "a.png") is None
    with pytest.raises(ImageError, match="gone"):
        read_luma_table(tmp_path / "gone.jpg")


def test_photos_of_less_noise_and_another_quality_are_told_from_the_recipe(tmp_path: Path, capsys) -> None:
    photo = read_rgb(builtin_photo("chelsea"))
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(12):
        part = photo[16 * number : 16 * number + 96, 20 * number : 20 * number + 96]
        noisy = np.clip(part + rng.normal(0, rng.uniform(2, 5) / 255, part.shape), 0, 1)
        file = Image.fromarray(np.rint(noisy * 255).astype(np.uint8))
        file.save(tmp_path / "photos" / f"{number}.jpg", quality=int(rng.integers(85, 96)), subsampling=0)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "recipe.yml").write_text(
        "steps:\n"
        "  - {type: Resize, relative_to: lr, mode: bicubic, antialias: true}\n"
        "  - {type: GaussianNoise, sigma_8bit: [1, 28]}\n"
        "  - {type: JPEG, quality: [30, 95]}\n"
    )
    args = ("-i", builtin_photo("chelsea"), "-o", tmp_path / "out", "--match", tmp_path / "photos", "--scale", "3")
    assert _run(*args, "--pipeline", tmp_path / "recipe.yml", "--draws", "80") == 1
    captured = capsys.readouterr()
    assert "broken.jpg" in captured.err
    assert "GaussianNoise.sigma_8bit" in captured.out
    data = json.loads((tmp_path / "out" / "match.json").read_text())
    assert len(data["photos"]) == 12
    assert len(data["made"]) == 80
    low, high = data["found"]["noise_sigma_8bit"]["ranges"]["GaussianNoise.sigma_8bit"]
    assert low < 3
    assert 4 < high < 16  # strong JPEG, which 80 results cannot leave out, hides some of it
    low, high = data["found"]["jpeg_quality"]["ranges"]["JPEG.quality"]
    assert 75 < low < high <= 95
    with Image.open(tmp_path / "out" / "match.png") as figure:
        assert figure.width > 600
