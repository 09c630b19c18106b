"""Synthesised training pairs: registration, exact targets, stateless randomness, faulty and small files."""

import logging
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from degradations.sharpen import USM
from realciao.coords import make_coord
from realciao.data import SampleIndex, build_train_set, builtin_photo
from realciao.data.synthetic_dataset import SyntheticDataset
from realciao.errors import OptionError, UserError
from realciao.randomness import candidates

PERIOD_PX = 32
POINTS = {"lq_size": 48, "sample_q": 2304}
WINDOW = {"window": 64}


def write_wave(path: Path) -> None:
    """Red and blue are sine and cosine of an oblique wave, so their angle is the position along it. 16 bits."""
    rows, columns = np.indices((640, 640))
    angle = 2 * np.pi / PERIOD_PX * (0.8 * rows + 0.6 * columns)
    bgr = 0.5 + 0.45 * np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=-1)
    assert cv2.imwrite(str(path), np.rint(bgr * 65535).astype(np.uint16))


def write_places(path: Path, height: int, width: int) -> None:
    """Red is the row, green the column: a pixel says where it came from. 16 bits."""
    rows, columns = np.indices((height, width))
    assert cv2.imwrite(str(path), np.stack([0 * rows, columns, rows], axis=-1).astype(np.uint16))


def write_flat(path: Path, size: int, red: int) -> None:
    Image.new("RGB", (size, size), (red, 0, 0)).save(path)


def make(root: Path | str, scales: tuple[float, float] = (1, 4), seed: int = 0, **keys: Any) -> SyntheticDataset:
    keys = {"pipeline": "bicubic", **keys}
    return SyntheticDataset(str(root), scale_range=scales, seed=seed, gt_usm=keys.pop("gt_usm", False), **keys)


def position(image: torch.Tensor) -> np.ndarray:
    """Position along the wave in HR pixels, modulo a period."""
    return np.arctan2(image[0].numpy() - 0.5, image[2].numpy() - 0.5) * PERIOD_PX / (2 * np.pi)


def plane_through(values: np.ndarray, coord: np.ndarray) -> np.ndarray:
    """Least squares (a, b, c) of values = a + b y + c x."""
    return np.linalg.lstsq(np.column_stack([np.ones(len(coord)), coord]), values.ravel(), rcond=None)[0]


def registration_error_px(item: Any) -> float:
    """How far the positions in gt are at most from the plane through those in lq, corner to corner of the patch."""
    unwrapped = np.unwrap(np.unwrap(position(item["lq"]), period=PERIOD_PX, axis=0), period=PERIOD_PX, axis=1)
    plane = plane_through(unwrapped, make_coord(unwrapped.shape).numpy().reshape(-1, 2))
    coord = item["coord"].double().numpy().reshape(-1, 2)
    error = position(item["gt"]).ravel() - np.column_stack([np.ones(len(coord)), coord]) @ plane
    error = (error + PERIOD_PX / 2) % PERIOD_PX - PERIOD_PX / 2
    # a wrong offset is a shift, a wrong ratio a slope
    return float(abs(plane_through(error, coord)).sum())


@pytest.mark.parametrize("queries", [POINTS, WINDOW], ids=["points", "window"])
@pytest.mark.parametrize("scale", [1, 1.37, 2, 3.3, 4])
def test_lq_and_gt_are_registered_to_a_hundredth_of_a_pixel(tmp_path: Path, queries: dict, scale: float) -> None:
    write_wave(tmp_path / "wave.png")
    dataset = make(tmp_path, (scale, scale), **queries)
    # mirrored and turned differently
    assert max(registration_error_px(dataset[SampleIndex(draw, draw)]) for draw in range(12)) < 0.01


def test_the_registration_test_sees_a_fiftieth_of_a_pixel(tmp_path: Path) -> None:
    write_wave(tmp_path / "wave.png")
    item = make(tmp_path, (3.3, 3.3), use_hflip=False, use_rot=False, **POINTS)[SampleIndex(0, 0)]
    item["coord"][..., 0] += 0.02 * item["cell"][0]
    assert registration_error_px(item) > 0.01


def block_of(item: dict, height: int, width: int) -> np.ndarray:
    """Rows and columns of the photo that a window shows."""
    places = np.rint(item["gt"].numpy()[:2] * 65535).astype(int)
    assert places[0].max() < height
    assert places[1].max() < width
    return places


def test_a_window_is_an_untouched_block_of_the_photo_in_each_of_eight_orientations(tmp_path: Path) -> None:
    write_places(tmp_path / "places.png", 300, 200)
    dataset = make(tmp_path, (1, 2.5), window=32)
    seen = set()
    for draw in range(80):
        rows, columns = block_of(dataset[SampleIndex(draw, draw)], 300, 200)
        block = np.stack(np.meshgrid(np.arange(32), np.arange(32), indexing="ij"))
        found = np.stack([rows - rows.min(), columns - columns.min()])
        for mirrored in (False, True):
            for turns in range(4):
                turned = np.rot90(block[:, :, ::-1] if mirrored else block, turns, axes=(1, 2))
                if np.array_equal(turned, found):
                    seen.add((mirrored, turns))
                    break
            else:
                continue
            break
        else:
            pytest.fail(f"draw {draw} is no block of the photo")
    assert len(seen) == 8


def test_without_flips_the_photo_stays_upright(tmp_path: Path) -> None:
    write_places(tmp_path / "places.png", 200, 200)
    dataset = make(tmp_path, (1, 2), window=32, use_hflip=False, use_rot=False)
    for draw in range(10):
        rows, columns = block_of(dataset[SampleIndex(draw, draw)], 200, 200)
        assert (np.diff(rows, axis=0) == 1).all()
        assert (np.diff(columns, axis=1) == 1).all()


def test_random_points_lie_where_their_coordinates_say(tmp_path: Path) -> None:
    write_places(tmp_path / "places.png", 400, 300)
    dataset = make(tmp_path, (1, 4), lq_size=24, sample_q=200, use_hflip=False, use_rot=False)
    for draw in range(20):
        item = dataset[SampleIndex(draw, draw)]
        assert item["coord"].abs().max() <= 1
        for axis in range(2):
            place = item["gt"].double().numpy()[axis].ravel() * 65535
            coord = item["coord"].double().numpy()[..., axis].ravel()
            offset = place - coord / item["cell"][axis].item()
            assert np.ptp(offset) < 2e-3, "one HR pixel further is one cell further"


def test_points_have_a_scale_each_and_windows_one_per_step(tmp_path: Path) -> None:
    write_flat(tmp_path / "flat.png", 400, 9)
    points, window = make(tmp_path, **POINTS), make(tmp_path, **WINDOW)

    def cells(dataset: SyntheticDataset, step: int) -> set[float]:
        return {dataset[SampleIndex(draw, step)]["cell"][0].item() for draw in range(4 * step, 4 * step + 4)}

    assert min(len(cells(points, step)) for step in range(3)) >= 3  # two may fall on the same pair of sizes
    assert [len(cells(window, step)) for step in range(3)] == [1, 1, 1]
    assert len({*cells(window, 0), *cells(window, 1), *cells(window, 2)}) == 3


def test_scales_are_uniform_over_the_range(tmp_path: Path) -> None:
    write_flat(tmp_path / "flat.png", 200, 9)
    dataset = make(tmp_path, lq_size=8, sample_q=1)
    scales = np.array([2 / (8 * dataset[SampleIndex(draw, 0)]["cell"][0].item()) for draw in range(400)])
    assert scales.min() >= 1
    assert scales.max() <= 4.05
    counts = np.histogram(scales, bins=5, range=(1, 4.05))[0]
    assert ((counts - 80) ** 2 / 80).sum() < 18.5  # chi-square with 4 degrees of freedom, p = 0.001


def test_the_sharpened_target_is_that_of_the_whole_photo() -> None:
    sharpen = {"type": "USM", "kernel_size": 51, "weight": 0.5, "threshold_8bit": 10}
    recipe = {"target": sharpen, "steps": [{"type": "Resize", "relative_to": "lr", "mode": "bicubic"}]}
    photo = cv2.cvtColor(cv2.imread(str(builtin_photo("astronaut"))), cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    whole = USM.apply({**sharpen, "type": "USM"}, photo)
    dataset = make(
        builtin_photo("astronaut"),
        (3, 4),
        pipeline=recipe,
        gt_usm=True,
        window=64,
        margin=10,
        use_hflip=False,
        use_rot=False,
    )
    for draw in range(3):
        item = dataset[SampleIndex(draw, draw)]
        gt, gt_usm = (item[key].permute(1, 2, 0).numpy() for key in ("gt", "gt_usm"))
        match = cv2.matchTemplate(photo, gt, cv2.TM_SQDIFF)
        y, x = np.unravel_index(match.argmin(), match.shape)
        np.testing.assert_array_equal(gt, photo[y : y + 64, x : x + 64])
        assert abs(gt_usm - whole[y : y + 64, x : x + 64]).mean() < 1e-5
        assert abs(gt_usm - gt).mean() > 1e-3


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_an_index_and_a_seed_decide_an_item_to_the_bit() -> None:
    first, again, other = (make("builtin", seed=s, pipeline="realesrgan", gt_usm=True, **POINTS) for s in (0, 0, 1))
    later = [again[SampleIndex(draw, 0)] for draw in (7, 3, 5)]  # another order, another history
    for draw, item in zip((7, 3, 5), later, strict=True):
        assert same(first[SampleIndex(draw, 0)], item)
        assert not torch.equal(item["lq"], other[SampleIndex(draw, 0)]["lq"])
    assert not torch.equal(later[0]["lq"], later[1]["lq"])


def test_neither_global_generators_nor_opencv_threads_change_an_item() -> None:
    dataset = make("builtin", pipeline="realesrgan", gt_usm=True, **WINDOW)
    before, threads = [dataset[SampleIndex(draw, 0)] for draw in range(4)], cv2.getNumThreads()
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    cv2.setNumThreads(1 if threads > 1 else 4)
    try:
        assert all(same(dataset[SampleIndex(draw, 0)], item) for draw, item in enumerate(before))
    finally:
        cv2.setNumThreads(threads)


def test_a_spawned_worker_would_get_an_equal_data_set() -> None:
    dataset = make("builtin", pipeline="realesrgan", **POINTS)
    dataset[SampleIndex(0, 0)]
    data = pickle.dumps(dataset)
    assert len(data) < 100_000, "decoded photos do not travel"
    assert same(pickle.loads(data)[SampleIndex(1, 0)], dataset[SampleIndex(1, 0)])


def test_every_epoch_is_another_permutation_and_stand_ins_are_successors() -> None:
    firsts = [[next(candidates(draw, 50, seed=3)) for draw in range(epoch * 50, epoch * 50 + 50)] for epoch in range(3)]
    assert all(sorted(order) == list(range(50)) for order in firsts)
    assert firsts[0] != firsts[1] != firsts[2] != list(range(50))
    for draw in (0, 49, 120):
        chain = list(candidates(draw, 50, seed=3))
        assert [(b - a) % 50 for a, b in pairwise(chain)] == [1] * 49


def test_a_file_that_cannot_be_read_is_reported_once_and_its_successor_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    for name in "abc":
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    data = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "zero.png").write_bytes(b"")
    with caplog.at_level(logging.WARNING, "realciao"):
        dataset = make(tmp_path, **POINTS)
        for draw in range(12):
            dataset[SampleIndex(draw, 0)]
    reported = [record.getMessage() for record in caplog.records]
    assert len(reported) == 3
    for name in ("text.png", "zero.png", "b.png"):
        assert sum(name in line for line in reported) == 1
    assert dataset.skipped == 3


def test_small_photos_serve_small_scales_only_and_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, size, red in (("tiny", 40, 50), ("small", 150, 100), ("large", 320, 200)):
        write_flat(tmp_path / f"{name}.png", size, red)
    with caplog.at_level(logging.WARNING, "realciao"):
        dataset = make(tmp_path, **POINTS)
    lines = {record.getMessage().split(":")[0].rsplit("/", 1)[-1]: record.getMessage() for record in caplog.records}
    assert lines.keys() == {"tiny.png", "small.png"}
    assert all(part in lines["tiny.png"] for part in ("40x40", "never used"))
    assert all(part in lines["small.png"] for part in ("150x150", "smaller scales only"))
    used: dict[int, list[float]] = {100: [], 200: []}
    for draw in range(60):
        item = dataset[SampleIndex(draw, 0)]
        scale = 2 / (48 * item["cell"][0].item())
        used[round(item["gt"][0, 0, 0].item() * 255)].append(scale)
    assert len(used[100]) > 5
    # 48 + 2 * 8 LR pixels at scale 2 are 128 HR pixels; at 2.5, 62 are 155
    assert max(used[100]) < 2.5 < max(used[200])
    assert dataset.skipped == 1


def test_no_photo_that_is_large_enough_is_an_error_with_the_arithmetic(tmp_path: Path) -> None:
    write_flat(tmp_path / "a.png", 100, 0)
    with pytest.raises(UserError, match=r"up to 4 with lq_size 48 need crops of 23[2-4] px a side.*a\.png, has 100"):
        make(tmp_path, **POINTS)


@pytest.mark.parametrize(
    "name", ["grey16.png", "rgba.png", "grey_alpha.png", "turned.jpg", "plain.bmp", "deep.tif", "w.webp"]
)
def test_any_kind_of_file_gives_the_pixels_that_pillow_or_opencv_reads(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    rough = cv2.resize(rng.random((24, 20, 3), np.float32), (200, 240), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    levels = np.rint(rough * 255).astype(np.uint8)
    alpha = np.full_like(levels[:, :, :1], 200)
    path = tmp_path / name
    if name == "grey16.png":
        assert cv2.imwrite(str(path), np.rint(rough[:, :, 0] * 65535).astype(np.uint16))
        expected = np.repeat(rough[:, :, :1], 3, axis=2)
    elif name == "deep.tif":
        assert cv2.imwrite(str(path), np.rint(rough[:, :, ::-1] * 65535).astype(np.uint16))
        expected = rough
    elif name == "rgba.png":
        Image.fromarray(np.concatenate([levels, alpha], axis=2)).save(path)
        expected = levels / np.float32(255)
    elif name == "grey_alpha.png":
        Image.fromarray(np.concatenate([levels[:, :, :1], alpha], axis=2)).save(path)
        expected = np.repeat(levels[:, :, :1], 3, axis=2) / np.float32(255)
    elif name == "turned.jpg":
        exif = Image.Exif()
        exif[0x0112] = 6  # shown turned by 90 degrees clockwise
        Image.fromarray(levels).save(path, exif=exif, quality=100, subsampling=0)
        expected = np.rot90(np.asarray(Image.open(path)), -1) / np.float32(255)
    else:
        Image.fromarray(levels).save(path, lossless=True)
        expected = levels / np.float32(255)
    dataset = make(path, (1, 1), window=64, use_hflip=False, use_rot=False)
    gt = dataset[SampleIndex(0, 0)]["gt"].permute(1, 2, 0).numpy()
    match = cv2.matchTemplate(np.ascontiguousarray(expected, np.float32), gt, cv2.TM_SQDIFF)
    y, x = np.unravel_index(match.argmin(), match.shape)
    np.testing.assert_allclose(gt, expected[y : y + 64, x : x + 64], atol=1e-5)


def test_wrong_options_name_their_key(tmp_path: Path) -> None:
    write_flat(tmp_path / "a.png", 300, 0)
    good = {"type": "SyntheticDataset", "dataroot_gt": str(tmp_path), "pipeline": "bicubic", **POINTS}
    for change, path in (
        ({"pipeline": "bicubik"}, "pipeline"),
        ({"pipeline": {"steps": [{"type": "Resize", "mode": "cubic"}]}}, "pipeline.steps"),
        ({"window": 64}, "window"),
        ({"lq_sise": 48}, "lq_sise"),
        ({"lq_size": 0}, "lq_size"),
        ({"margin": -1}, "margin"),
        ({"type": "ImageFolder"}, "type"),
        ({"type": "SyntheticDatset"}, "type"),
    ):
        with pytest.raises(OptionError) as error:
            build_train_set({**good, **change}, "datasets.train", scale_range=(1, 4), seed=0, gt_usm=False)
        assert error.value.path.startswith(f"datasets.train.{path}")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="empty"):
        build_train_set({**good, "dataroot_gt": str(empty)}, scale_range=(1, 4), seed=0, gt_usm=False)


@pytest.mark.parametrize("queries", [POINTS, WINDOW], ids=["points", "window"])
def test_scales_come_from_the_list_where_there_is_one_and_each_as_often(tmp_path: Path, queries: dict) -> None:
    write_flat(tmp_path / "flat.png", 256, 9)
    spec = {"type": "SyntheticDataset", "dataroot_gt": str(tmp_path), "pipeline": "bicubic", **queries}
    run: Any = {"scale_range": (1, 4), "seed": 0, "gt_usm": False}
    dataset = build_train_set({**spec, "scales": [2, 3, 4]}, **run)
    sizes = [dataset[SampleIndex(draw, step=draw)]["cell"][0].item() for draw in range(150)]
    patch = [dataset[SampleIndex(draw, step=draw)]["lq"].shape[1] for draw in range(150)]
    drawn = [2 / (cell * n) for cell, n in zip(sizes, patch, strict=True)]
    counts = [sum(abs(scale - each) < 0.05 for scale in drawn) for each in (2, 3, 4)]
    assert sum(counts) == 150
    assert all(27 < count < 73 for count in counts)  # 50 +/- 4 standard deviations
    with pytest.raises(OptionError, match="scale_range") as caught:
        build_train_set({**spec, "scales": [2, 5]}, **run)
    assert caught.value.path == "scales"
