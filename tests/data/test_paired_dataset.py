"""Real LQ/GT pairs: matching of files, ratio from sizes, registration, errors."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from realciao.coords import make_coord
from realciao.data import SampleIndex, build_train_loader, build_train_set, build_val_set
from realciao.data.pair_files import match_pairs
from realciao.data.paired_dataset import PairedDataset
from realciao.errors import OptionError, UserError

POINTS = {"lq_size": 32, "sample_q": 500}
WINDOW = {"window": 64}


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.rint(image[:, :, ::-1] * 65535).astype(np.uint16))


def places(size: tuple[int, int]) -> np.ndarray:
    """Red and green are the place in the extent that LQ and GT share, from 0 to 1: a plane, whatever the size."""
    rows, columns = ((np.arange(n) + 0.5) / n for n in size)
    return np.stack([*np.meshgrid(rows, columns, indexing="ij"), np.full(size, 0.5)], axis=-1)


def write_pair(root: Path, name: str, lq_size: tuple[int, int], gt_size: tuple[int, int]) -> None:
    write(root / "lq" / name, places(lq_size))
    write(root / "gt" / name, places(gt_size))


def make(root: Path, **keys: Any) -> PairedDataset:
    keys = {"scale_range": (1, 8), "seed": 0, "gt_usm": False, **keys}
    return PairedDataset(str(root / "lq"), str(root / "gt"), **keys)


@pytest.mark.parametrize("queries", [POINTS, WINDOW], ids=["points", "window"])
@pytest.mark.parametrize(
    ("lq_size", "gt_size"),
    [
        ((90, 80), (90, 80)),
        ((100, 75), (137, 103)),
        ((75, 90), (150, 180)),
        ((61, 73), (201, 241)),
        ((50, 60), (200, 240)),
    ],
    ids=["1", "1.37", "2", "3.3", "4"],
)
def test_lq_and_gt_are_registered_to_a_hundredth_of_a_pixel(
    tmp_path: Path, queries: dict, lq_size: tuple[int, int], gt_size: tuple[int, int]
) -> None:
    write_pair(tmp_path, "a.png", lq_size, gt_size)
    dataset = make(tmp_path, **{**queries, "margin": 1})
    for draw in range(10):
        item = dataset[SampleIndex(draw, draw)]
        lq, gt = (item[key].double().numpy()[:2].reshape(2, -1) for key in ("lq", "gt"))
        grid, coord = make_coord(item["lq"].shape[1:]).double().reshape(-1, 2), item["coord"].double().reshape(-1, 2)
        # both are planes over the coordinates, so the one through lq must meet gt everywhere
        plane = np.linalg.lstsq(np.column_stack([np.ones(len(grid)), grid]), lq.T, rcond=None)[0]
        error = np.column_stack([np.ones(len(coord)), coord]) @ plane - gt.T
        assert abs(error * gt_size).max() < 0.01


def test_a_window_is_an_untouched_block_of_gt(tmp_path: Path) -> None:
    write_pair(tmp_path, "a.png", (50, 60), (165, 199))
    gt = torch.from_numpy(np.rint(places((165, 199)) * 65535) / 65535).permute(2, 0, 1).float()
    dataset = make(tmp_path, use_hflip=False, use_rot=False, **WINDOW)
    for draw in range(5):
        window = dataset[SampleIndex(draw, draw)]["gt"]
        top, left = (int((axis - window[i, 0, 0]).abs().argmin()) for i, axis in enumerate((gt[0, :, 0], gt[1, 0])))
        assert torch.allclose(window, gt[:, top : top + 64, left : left + 64], atol=1e-6)


def test_pairs_of_several_ratios_make_a_batch_of_windows(tmp_path: Path) -> None:
    write_pair(tmp_path, "x2.png", (60, 70), (120, 140))
    write_pair(tmp_path, "x4.png", (50, 60), (200, 240))
    dataset = make(tmp_path, gt_usm=True, **WINDOW)
    (batch,) = build_train_loader(dataset, batch_size=6, num_workers=0, num_steps=1)
    assert batch["lq"].shape == (6, 3, 40, 40)
    assert batch["gt"].shape == (6, 3, 64, 64)
    assert torch.equal(batch["gt"], batch["gt_usm"])
    assert {round(2 / (40 * cell.item())) for cell in batch["cell"][:, 0]} == {2, 4}


def test_cell_is_that_of_each_axis_own_ratio(tmp_path: Path) -> None:
    write_pair(tmp_path, "a.png", (40, 61), (132, 200))
    cell = make(tmp_path, use_hflip=False, use_rot=False, **POINTS)[SampleIndex(0, 0)]["cell"]
    np.testing.assert_allclose(cell, [2 * 40 / 132 / 32, 2 * 61 / 200 / 32], rtol=1e-6)


def test_files_match_by_place_and_by_what_their_names_share(tmp_path: Path) -> None:
    tiny = np.zeros((4, 4, 3))
    for folder, stem in (("Canon", "001"), ("Nikon", "001"), ("Nikon", "002")):
        write(tmp_path / folder / f"{stem}_HR.png", tiny)
        write(tmp_path / folder / f"{stem}_LR4.png", tiny)
    pairs = match_pairs(str(tmp_path), str(tmp_path), "{}_LR4", "{}_HR")
    assert [(lq.relative_to(tmp_path).as_posix(), gt.relative_to(tmp_path).as_posix()) for lq, gt in pairs] == [
        (f"{name}_LR4.png", f"{name}_HR.png") for name in ("Canon/001", "Nikon/001", "Nikon/002")
    ]


def test_what_does_not_fit_together_is_one_line_with_both_paths(tmp_path: Path) -> None:
    for case, sizes, words in (
        ("differ", ((40, 40), (160, 80)), r"\(80x160\): .* differ"),
        ("beyond", ((40, 40), (400, 400)), r"not in \[1, 8\]"),
        ("below", ((80, 80), (40, 40)), r"not in \[1, 8\]"),
    ):
        write_pair(tmp_path / case, "a.png", *sizes)
        with pytest.raises(UserError, match=words) as error:
            make(tmp_path / case, **POINTS)
        assert all(str(tmp_path / case / kind / "a.png") in str(error.value) for kind in ("lq", "gt"))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["lq", "gt"])
def test_a_missing_partner_is_named(tmp_path: Path, kind: str) -> None:
    write_pair(tmp_path, "a.png", (40, 40), (80, 80))
    write(tmp_path / kind / "b.png", places((40, 40)))
    other = {"lq": "gt", "gt": "lq"}[kind]
    with pytest.raises(UserError) as error:
        make(tmp_path, **POINTS)
    assert str(error.value) == f"{tmp_path / kind / 'b.png'}: has no partner {tmp_path / other / 'b'}.*"


def test_two_files_of_one_name_and_templates_that_match_nothing_are_errors(tmp_path: Path) -> None:
    write_pair(tmp_path, "a.png", (40, 40), (80, 80))
    for tmpl, kind, words in (("x4", OptionError, "{}"), ("{}x4", UserError, "lq: holds no image named like '{}x4'")):
        with pytest.raises(kind, match=words):
            make(tmp_path, filename_tmpl_lq=tmpl, **POINTS)
    Image.new("RGB", (40, 40)).save(tmp_path / "lq" / "a.bmp")
    with pytest.raises(UserError, match="same name"):
        make(tmp_path, **POINTS)


def test_lq_images_below_the_patch_are_an_error_with_the_arithmetic(tmp_path: Path) -> None:
    write_pair(tmp_path, "a.png", (20, 40), (40, 80))
    with pytest.raises(UserError, match=r"lq_size 32 needs LQ patches of 32 px a side.*a\.png, has 20"):
        make(tmp_path, **POINTS)


def test_both_roles_are_built_from_their_spec(tmp_path: Path) -> None:
    write_pair(tmp_path, "a.png", (40, 50), (132, 165))
    roots = {"dataroot_lq": str(tmp_path / "lq"), "dataroot_gt": str(tmp_path / "gt")}
    train = build_train_set({"type": "PairedDataset", **roots, **POINTS}, scale_range=(1, 4), seed=0, gt_usm=False)
    assert train[SampleIndex(0, 0)]["gt"].shape == (3, 1, 500)
    (item,) = build_val_set({"type": "PairedValSet", **roots}, seed=0)
    assert (item["name"], item["lq"].shape, item["size"]) == ("a", (40, 50, 3), (132, 165))
    np.testing.assert_allclose(item["gt"], places((132, 165)), atol=1e-5)
    with pytest.raises(OptionError, match=r"^datasets.val.0.type: 'PairedDataset' is not .* PairedValSet"):
        build_val_set({"type": "PairedDataset", **roots}, "datasets.val.0", seed=0)


@pytest.mark.parametrize("queries", [POINTS, WINDOW], ids=["points", "window"])
def test_a_reduced_gt_is_registered_at_every_scale_below_the_pairs_own(tmp_path: Path, queries: dict) -> None:
    write_pair(tmp_path, "a.png", (100, 120), (400, 480))
    dataset = make(tmp_path, **{**queries, "margin": 4}, reduce_gt=True, scale_range=(1.5, 8))
    scales = []
    for draw in range(12):
        item = dataset[SampleIndex(draw, step=draw)]
        scales.append(2 / (float(item["cell"][0]) * item["lq"].shape[1]))
        lq, gt = (item[key].double().numpy()[:2].reshape(2, -1) for key in ("lq", "gt"))
        grid, coord = make_coord(item["lq"].shape[1:]).double().reshape(-1, 2), item["coord"].double().reshape(-1, 2)
        plane = np.linalg.lstsq(np.column_stack([np.ones(len(grid)), grid]), lq.T, rcond=None)[0]
        off_px = (np.column_stack([np.ones(len(coord)), coord]) @ plane - gt.T) * 120  # in LR pixels
        assert np.abs(off_px.mean(axis=0)).max() < 0.01
        assert np.abs(off_px).max() < 0.03  # a stretched cubic kernel makes a ripple of a ramp, torch's as well
    assert min(scales) < 2.2
    assert 2.5 < max(scales) <= 4.05
