"""Noise patches: cut from photos, put on by a plan that says which, and what stands in for them."""

import hashlib
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from exit_status import exit_status
from PIL import Image
from scipy import ndimage

import degradations
from degradations import RecipeError, build_pipeline
from degradations.noise_pool import NoisePool
from degradations.registry import Frame
from realciao.commands.degrade import main

TO_LR = {"type": "Resize", "relative_to": "lr", "mode": "area"}


def _frame(height: int, width: int) -> Frame:
    return Frame((height, width), (height, width), (height, width))


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, size in (("a.png", (24, 24)), ("deep/b.png", (24, 30))):
        path = tmp_path / "pool" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(90, 110, (*size, 3), np.uint8)).save(path)
    return tmp_path / "pool"


def test_a_piece_is_the_patch_less_its_own_mean(pool: Path):
    params = NoisePool(str(pool)).sample(np.random.default_rng(1), _frame(10, 14))
    assert params["source"] == "pool"
    patch = np.asarray(Image.open(pool / params["file"]), np.float64) / 255
    top, left = params["crop"]
    piece = patch[top : top + 10, left : left + 14]
    image = np.full((10, 14, 3), 0.5, np.float32)
    added = NoisePool.apply(params, image) - image
    np.testing.assert_allclose(added, piece - piece.mean((0, 1)), atol=1e-6)
    theirs = NoisePool.apply_batch([params], torch.from_numpy(image).permute(2, 0, 1)[None])
    np.testing.assert_array_equal(theirs[0].permute(1, 2, 0).numpy(), NoisePool.apply(params, image))


def test_a_larger_image_sees_the_patch_mirrored(pool: Path):
    checksum = hashlib.sha256((pool / "a.png").read_bytes()).hexdigest()
    params = {"source": "pool", "path": str(pool), "file": "a.png", "sha256": checksum, "crop": [0, 0]}
    patch = np.asarray(Image.open(pool / "a.png"), np.float64) / 255
    expected = np.pad(patch, ((0, 46), (0, 46), (0, 0)), "symmetric")
    image = np.full((70, 70, 3), 0.5, np.float32)
    np.testing.assert_allclose(NoisePool.apply(params, image) - image, expected - expected.mean((0, 1)), atol=1e-6)
    assert NoisePool(str(pool)).sample(np.random.default_rng(1), _frame(70, 70))["crop"] == [0, 0]


def test_every_patch_and_every_place_comes_up(pool: Path):
    step, rng = NoisePool(str(pool)), np.random.default_rng(2)
    drawn = [step.sample(rng, _frame(22, 22)) for _ in range(400)]
    files = [params["file"] for params in drawn]
    assert 150 < files.count("a.png") < 250
    assert files.count("deep/b.png") == 400 - files.count("a.png")
    assert {tuple(p["crop"]) for p in drawn if p["file"] == "a.png"} == set(np.ndindex(3, 3))
    assert {p["crop"][1] for p in drawn if p["file"] == "deep/b.png"} == set(range(9))


def test_a_plan_is_repeated_with_the_same_patch_or_not_at_all(pool: Path):
    pipeline = build_pipeline({"steps": [TO_LR, {"type": "NoisePool", "path": str(pool)}]})
    plan = json.loads(json.dumps(pipeline.sample(np.random.default_rng(0), (20, 20), 2)))
    image = np.random.default_rng(0).random((20, 20, 3), np.float32)
    np.testing.assert_array_equal(degradations.apply(plan, image), degradations.apply(plan, image))
    patch = pool / plan["steps"][1]["file"]
    Image.new("RGB", (24, 24), (9, 9, 9)).save(patch)
    with pytest.raises(RecipeError, match=r"steps\.1\.sha256: .* is not the patch"):
        degradations.apply(plan, image)
    patch.write_bytes(b"no image")
    with pytest.raises(RecipeError, match=r"steps\.1\.file: .* no image"):
        degradations.apply(plan, image)
    patch.unlink()
    with pytest.raises(RecipeError, match=r"steps\.1\.file: .* cannot be read"):
        degradations.apply(plan, image)


def test_without_images_the_recipe_is_refused(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    for folder, words in (("gone", "there is no folder"), ("empty", "no image")):
        with pytest.raises(RecipeError, match=rf"steps\.1\.path: {words}"):
            build_pipeline({"steps": [TO_LR, {"type": "NoisePool", "path": str(tmp_path / folder)}]})


def _synthesised(grain_px: float, seed: int = 1) -> dict:
    return NoisePool(sigma_8bit=4, grain_px=grain_px).sample(np.random.default_rng(seed), _frame(8, 8))


@pytest.mark.parametrize("grain_px", [0.3, 0.8, 1.2])
def test_synthesised_noise_has_its_sigma_its_grain_and_its_correlation(grain_px: float):
    params = _synthesised(grain_px)
    assert params["source"] == "synthesised"
    # white noise blurred by scipy: the correlation between neighbours to expect
    white = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((400, 400)), grain_px, truncate=4)
    expected = (white[1:] * white[:-1]).mean() / white.var()
    image = np.full((400, 400, 3), 0.5, np.float32)
    ours = NoisePool.apply(params, image) - image
    theirs = NoisePool.apply_batch([params], torch.from_numpy(image).permute(2, 0, 1)[None])[0].permute(1, 2, 0) - 0.5
    root = np.array(params["correlation"])
    for noise in (ours, theirs.numpy()):
        assert noise.std((0, 1)) == pytest.approx(np.full(3, 4 / 255), rel=0.04)
        assert (noise[1:] * noise[:-1]).mean() / noise.var() == pytest.approx(expected, abs=0.03)
        np.testing.assert_allclose(np.corrcoef(noise.reshape(-1, 3).T), root @ root.T, atol=0.04)
        assert np.abs(noise.mean((0, 1))).max() < 0.001


def test_synthesised_noise_fits_any_size_and_repeats():
    for size in ((1, 1), (1, 7), (30, 2)):
        image = np.full((*size, 3), 0.5, np.float32)
        out = NoisePool.apply(_synthesised(1.2), image)
        assert out.shape == image.shape
        np.testing.assert_array_equal(out, NoisePool.apply(_synthesised(1.2), image))
        assert (out != NoisePool.apply(_synthesised(1.2, seed=2), image)).any()


# --extract_noise


_run = partial(exit_status, main)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A photo with a noisy sky (left) over black and white ground (right half black, one square white), and one busy one."""
    rng = np.random.default_rng(0)
    photo = np.zeros((64, 96, 3))
    photo[:32] = 100 + rng.normal(0, 3, (32, 96, 3))
    photo[32:, 64:] = 255
    busy = rng.integers(0, 256, (64, 64, 3))
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Image.fromarray(photo.astype(np.uint8)).save(tmp_path / "in" / "deep" / "sky.png")
    Image.fromarray(busy.astype(np.uint8)).save(tmp_path / "in" / "busy.png")
    return tmp_path / "in"


def test_flat_noisy_squares_are_cut_out_and_make_a_pool(photos: Path, tmp_path: Path, capsys):
    out = tmp_path / "pool"
    assert _run("--extract_noise", "-i", photos, "-o", out, "--patch_px", "32") == 0
    assert "3 patches from 1 of 2 images" in capsys.readouterr().out
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert written == [f"deep/sky_0_{left}.png" for left in (0, 32, 64)]
    sky = np.array(Image.open(photos / "deep" / "sky.png"))
    np.testing.assert_array_equal(np.array(Image.open(out / "deep" / "sky_0_32.png")), sky[:32, 32:64])
    params = NoisePool(str(out)).sample(np.random.default_rng(0), _frame(16, 16))
    noise = NoisePool.apply(params, np.full((16, 16, 3), 0.5, np.float32)) - 0.5
    assert noise.std() == pytest.approx(3 / 255, rel=0.15)
    assert _run("--extract_noise", "-i", photos, "-o", out, "--patch_px", "32") == 2
    assert "exists (and 2 more); give --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [("--patch_px", "32", "--min_mean", "150"), ("--patch_px", "32", "--max_variance", "2"), ("--patch_px", "200")],
)
def test_no_flat_place_is_one_line_with_advice(photos: Path, tmp_path: Path, capsys, options: tuple[str, ...]):
    assert _run("--extract_noise", "-i", photos, "-o", tmp_path / "pool", *options) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "no flat place" in captured.err
    assert "--max_variance" in captured.err


def test_folders_and_hidden_files_are_no_patches(pool: Path):
    (pool / "folder.png").mkdir()
    (pool / "._a.png").write_bytes(b"left by another system")
    (pool / ".0123456789ab.tmp.png").write_bytes(b"half a file")
    assert NoisePool(str(pool)).files == ["a.png", "deep/b.png"]
