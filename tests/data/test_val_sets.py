"""Validation sets of synthesised pairs and of real photos."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realciao.data import SampleIndex, build_train_set, build_val_set, builtin_photo
from realciao.errors import OptionError, UserError
from realciao.images.reading import read_rgb

SYNTHETIC = {"type": "SyntheticValSet", "dataroot_gt": "builtin_val", "pipeline": "realesrgan", "scales": [2, 3.3]}


def test_items_are_named_sized_and_cropped_as_told() -> None:
    items = list(build_val_set({**SYNTHETIC, "gt_size": 128}, seed=0))
    assert [item["name"] for item in items] == ["chelsea_x2", "chelsea_x3.3", "rocket_x2", "rocket_x3.3"]
    assert [item["lq"].shape for item in items] == [(64, 64, 3), (39, 39, 3)] * 2
    chelsea = np.asarray(Image.open(builtin_photo("chelsea")), np.float32) / 255
    for item in items:
        assert item["size"] == item["gt"].shape[:2] == (128, 128)
        assert item["lq"].dtype == item["gt"].dtype == np.float32
    np.testing.assert_array_equal(items[0]["gt"], chelsea[86:214, 161:289])


def test_items_are_the_same_each_time_and_depend_on_the_seed() -> None:
    first, again, other = (build_val_set({**SYNTHETIC, "gt_size": 64}, seed=seed) for seed in (0, 0, 1))
    for a, b, c in zip(first, reversed([again[i] for i in (3, 2, 1, 0)]), other, strict=True):
        np.testing.assert_array_equal(a["lq"], b["lq"])
        assert not np.array_equal(a["lq"], c["lq"])
    assert [item["name"] for item in first.items(1, 2)] == ["chelsea_x3.3", "rocket_x3.3"]


def test_a_photo_below_the_crop_is_used_as_it_is_and_null_means_whole(tmp_path: Path) -> None:
    Image.new("RGB", (50, 300)).save(tmp_path / "narrow.png")
    spec = {**SYNTHETIC, "dataroot_gt": str(tmp_path), "pipeline": "bicubic", "scales": [2]}
    for gt_size, size in ((128, (128, 50)), (None, (300, 50))):
        (item,) = build_val_set({**spec, "gt_size": gt_size}, seed=0)
        assert item["size"] == size == item["gt"].shape[:2]


def test_real_photos_come_without_gt_at_the_scaled_size(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)).save(tmp_path / "a.png")
    (item,) = build_val_set({"type": "ImageFolder", "dataroot_lq": str(tmp_path), "scale": 2.37}, seed=0)
    assert "gt" not in item
    assert (item["name"], item["size"]) == ("a", (round(30 * 2.37), round(41 * 2.37)))
    np.testing.assert_array_equal(item["lq"], read_rgb(tmp_path / "a.png"))


def test_a_broken_file_is_skipped_and_reported_the_first_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "b.png")
    (tmp_path / "a.png").write_text("not an image")
    val_set = build_val_set({**SYNTHETIC, "dataroot_gt": str(tmp_path)}, seed=0)
    with caplog.at_level(logging.WARNING, "realciao"):
        names = [item["name"] for _ in range(2) for item in val_set]
    assert names == ["b_x2", "b_x3.3"] * 2
    assert [str(tmp_path / "a.png") in record.getMessage() for record in caplog.records] == [True]


def test_one_broken_file_is_named_once_whatever_the_stages_and_sets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    for name in "ab":
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    data = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[: len(data) // 2])  # whose header is whole
    (tmp_path / "text.png").write_text("not an image")
    spec = {"type": "SyntheticDataset", "dataroot_gt": str(tmp_path), "pipeline": "bicubic"}
    points, window = {"lq_size": 8, "sample_q": 10}, {"window": 16}
    with caplog.at_level(logging.WARNING, "realciao"):
        for queries in (points, points, window):
            stage = build_train_set({**spec, **queries}, scale_range=(1, 4), seed=0, gt_usm=False)
            for draw in range(4):
                stage[SampleIndex(draw, 0)]
            assert stage.skipped == 2
        for _ in range(2):
            val_set = build_val_set({**SYNTHETIC, "dataroot_gt": str(tmp_path), "pipeline": "bicubic"}, seed=0)
            assert [item["name"] for item in val_set] == ["a_x2", "a_x3.3"]
    assert sorted(Path(r.getMessage().split(": ")[1]).name for r in caplog.records) == ["b.png", "text.png"]


def test_a_broken_file_that_is_put_right_is_used(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not an image")
    spec = {"type": "SyntheticDataset", "dataroot_gt": str(tmp_path), "pipeline": "bicubic", "window": 16}
    with pytest.raises(UserError, match="none of the 1 images"):
        build_train_set(spec, scale_range=(1, 4), seed=0, gt_usm=False)
    Image.new("RGB", (160, 160)).save(tmp_path / "a.png")
    assert build_train_set(spec, scale_range=(1, 4), seed=0, gt_usm=False).skipped == 0


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"scales": []}, "scales"),
        ({"scales": [2, 0.5]}, "scales.1"),
        ({"gt_size": 0}, "gt_size"),
        ({"num_images": 0}, "num_images"),
        ({"pipeline": "bicubik"}, "pipeline"),
        ({"type": "SyntheticDataset"}, "type"),
        ({"sclaes": [2]}, "sclaes"),
    ],
)
def test_wrong_options_name_their_key(change: dict, path: str) -> None:
    with pytest.raises(OptionError) as error:
        build_val_set({**SYNTHETIC, **change}, "datasets.val.0", seed=0)
    assert error.value.path == f"datasets.val.0.{path}"


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=str(tmp_path)):
        build_val_set({**SYNTHETIC, "dataroot_gt": str(tmp_path)}, seed=0)
