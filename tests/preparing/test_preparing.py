"""Data preparation: BasicSR's sub-images and LMDB against BasicSR's own code, what a check finds against what was planted."""

import io
import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from exit_status import exit_status
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_run import write_photos

import degradations.basicsr_shim  # noqa: F401  (must precede basicsr)
from realciao.commands.prepare_data import main
from realciao.data.datasets import SampleIndex
from realciao.data.photos import find_photos
from realciao.data.synthetic_dataset import SyntheticDataset
from realciao.images.reading import ImageError, read_image, read_size
from realciao.preparing.audit import inspect
from realciao.preparing.fingerprints import find_matches, phash, thumbnail
from realciao.preparing.layouts import find_layouts
from realciao.preparing.lmdb_writer import make_keys, write_lmdb
from realciao.preparing.subimages import Grid, sub_name

from basicsr.data.data_util import paired_paths_from_lmdb  # isort: skip
from basicsr.utils import FileClient, imfrombytes  # isort: skip
from basicsr.utils.lmdb_util import make_lmdb_from_imgs  # isort: skip


run = partial(exit_status, main)


def photo(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    coarse = np.random.default_rng(seed).random((height // 12, width // 12, 3), np.float32)
    return (cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255).astype(np.uint8)


# Sub-images


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 900), st.integers(1, 300), st.integers(1, 300), st.integers(0, 60))
def test_squares_lie_where_basicsr_puts_them(length: int, crop: int, step: int, thresh: int) -> None:
    space = np.arange(0, length - crop + 1, step)  # the published rule
    if len(space) and length - (space[-1] + crop) > thresh:
        space = np.append(space, length - crop)
    assert Grid(crop, step, thresh).starts(length) == space.tolist()


def test_the_squares_of_div2ks_first_image_are_the_known_forty() -> None:
    assert len(list(Grid(480, 240, 0).cut(np.zeros((1404, 2040, 3), np.uint8)))) == 40
    assert [sub_name("0801x4", i) for i in (1, 12)] == ["0801_s001.png", "0801_s012.png"]


def test_the_command_cuts_a_tree_and_names_what_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "in", count=2, edge=72)
    cv2.imwrite(str(tmp_path / "in" / "small.png"), photo(0, 24, 24))
    arguments = ("subimages", "-i", tmp_path / "in", "-o", tmp_path / "out", "--crop_size", 32, "--step", 20)
    assert run(*arguments, "--workers", 1) == 1
    said = capsys.readouterr()
    assert "18 sub-images of 2 of 3 photos" in said.out
    assert "small.png: 24x24 is smaller than --crop_size 32" in said.err
    assert len(list((tmp_path / "out").iterdir())) == 18
    whole = read_image(tmp_path / "in" / "photo_1.png")
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "photo_1_s009.png"), whole[40:, 40:])
    assert run(*arguments) == 2
    assert "is not empty" in capsys.readouterr().err


# LMDB


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return find_photos(str(write_photos(tmp_path / "photos")))


def test_basicsr_reads_what_we_write(photos: list[Path], tmp_path: Path) -> None:
    for name in ("lq", "gt"):
        write_lmdb(photos, tmp_path / f"{name}.lmdb")
    folders = [str(tmp_path / "lq.lmdb"), str(tmp_path / "gt.lmdb")]
    pairs = paired_paths_from_lmdb(folders, ["lq", "gt"])
    client = FileClient("lmdb", db_paths=folders, client_keys=["lq", "gt"])
    assert [pair["gt_path"] for pair in pairs] == ["photo_0", "photo_1", "photo_2"]
    for pair, path in zip(pairs, photos, strict=True):
        np.testing.assert_array_equal(imfrombytes(client.get(pair["gt_path"], "gt")), cv2.imread(str(path)))


def test_we_read_what_basicsr_writes(photos: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "theirs.lmdb"
    names = [path.name for path in photos]
    make_lmdb_from_imgs(str(photos[0].parent), str(folder), names, [name.split(".")[0] for name in names])
    found = find_photos(str(folder))
    assert found == [folder / name for name in names]
    for ours, theirs in zip(found, photos, strict=True):
        np.testing.assert_array_equal(read_image(ours), read_image(theirs))
        assert read_size(ours) == read_size(theirs)


def test_training_from_an_lmdb_is_training_from_its_folder(photos: list[Path], tmp_path: Path) -> None:
    assert run("lmdb", "-i", photos[0].parent, "-o", tmp_path / "gt.lmdb") == 0
    items = []
    for root in (photos[0].parent, tmp_path / "gt.lmdb"):
        dataset = SyntheticDataset(
            str(root), "bicubic", lq_size=8, sample_q=16, scale_range=(1, 2), seed=0, gt_usm=False
        )
        items.append([dataset[SampleIndex(draw, 0)] for draw in range(4)])
    for one, other in zip(*items, strict=True):
        assert all(np.array_equal(one[key], other[key]) for key in ("lq", "gt", "coord"))


def test_deep_and_transparent_images_survive(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (20, 30, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    Image.fromarray(photo(1)[..., [0, 1, 2, 0]]).save(tmp_path / "alpha.png")
    write_lmdb([tmp_path / "deep.png", tmp_path / "alpha.png"], tmp_path / "x.lmdb")
    np.testing.assert_array_equal(read_image(tmp_path / "x.lmdb" / "deep.png"), deep)
    np.testing.assert_array_equal(read_image(tmp_path / "x.lmdb" / "alpha.png"), read_image(tmp_path / "alpha.png"))
    assert (tmp_path / "x.lmdb" / "meta_info.txt").read_text() == "deep.png (20,30,3) 1\nalpha.png (96,128,4) 1\n"


def test_nothing_is_left_of_an_lmdb_that_fails(photos: list[Path], tmp_path: Path) -> None:
    photos[1].write_bytes(photos[1].read_bytes()[:200])
    with pytest.raises(ImageError, match=r"photo_1\.png"):
        write_lmdb(photos, tmp_path / "gt.lmdb")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_keys_are_such_as_basicsr_can_read() -> None:
    paths = [Path("a/0001.v2.png"), Path("b/0001.v2.png"), Path("a/été 1.png")]
    assert make_keys(paths) == ["a_0001_v2", "b_0001_v2", "_t__1"]


def test_a_broken_lmdb_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.lmdb").mkdir()
    (tmp_path / "x.lmdb" / "data.mdb").write_bytes(b"no")
    assert run("check", tmp_path / "x.lmdb") == 2
    assert "meta_info.txt: cannot be read" in capsys.readouterr().err
    (tmp_path / "x.lmdb" / "meta_info.txt").write_text("a.png (1,1,3) 1\n")
    with pytest.raises(ImageError, match="cannot be read as LMDB"):
        read_image(tmp_path / "x.lmdb" / "a.png")


# Looking through


def test_a_photo_is_recognised_smaller_compressed_brighter_turned_and_mirrored() -> None:
    whole = photo(3, 240, 320)
    buffer = io.BytesIO()
    Image.fromarray(cv2.resize(whole, (150, 113), interpolation=cv2.INTER_AREA)).save(buffer, "JPEG", quality=30)
    versions = {
        "small JPEG": np.asarray(Image.open(buffer)),
        "brighter": (whole * 0.7 + 60).astype(np.uint8),
        "turned": np.rot90(whole),
        "mirrored": whole[:, ::-1],
        "upside down, 16 bit": whole[::-1].astype(np.uint16) * 257,
        "grey": cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY),
    }
    for name, version in versions.items():
        (match,) = find_matches([thumbnail(whole)], [thumbnail(version)])
        assert match.correlation > 0.98, name


def test_different_photos_are_not_the_same() -> None:
    copies = [thumbnail(photo(seed)) for seed in range(60)]
    assert list(find_matches(copies)) == []
    flat = [thumbnail(np.full((40, 40, 3), value, np.uint8)) for value in (0, 128, 255)]
    assert list(find_matches([*flat, copies[0]])) == []


def test_blocks_do_not_change_what_is_found() -> None:
    copies = [thumbnail(photo(seed % 7)) for seed in range(20)]
    pairs = {(one, two) for one in range(20) for two in range(one + 1, 20) if one % 7 == two % 7}
    for block in (1, 6, 1024):
        assert {(match.first, match.second) for match in find_matches(copies, block=block)} == pairs


def test_the_hash_ignores_brightness_and_contrast() -> None:
    copy = thumbnail(photo(5))
    assert phash(copy[None]) == phash(copy[None] * 0.25 + 0.5)


def test_every_planted_problem_is_found(tmp_path: Path) -> None:
    image = photo(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / "turned.jpg", exif=exif)
    Image.fromarray(image).convert("CMYK").save(tmp_path / "print.jpg")
    Image.fromarray(image[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(image[..., :1].repeat(3, axis=2)).save(tmp_path / "grey_rgb.png")
    cv2.imwrite(str(tmp_path / "deep.png"), image.astype(np.uint16) * 257)
    Image.fromarray(image[..., [0, 1, 2, 0]]).save(tmp_path / "alpha.png")
    Image.fromarray(image[:40]).save(tmp_path / "low.webp")
    Image.fromarray(image).save(tmp_path / "sound.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "sound.png").read_bytes()[:500])
    found = {path.name: set(inspect(path, min_size=64).problems) for path in tmp_path.iterdir()}
    assert found == {
        "turned.jpg": {"EXIF-rotated", "JPEG"},
        "print.jpg": {"CMYK", "JPEG"},
        "grey.png": {"grey"},
        "grey_rgb.png": {"grey"},
        "deep.png": {"16-bit"},
        "alpha.png": {"alpha"},
        "low.webp": {"too small"},
        "sound.png": set(),
        "broken.png": {"corrupt"},
    }


def test_a_check_finds_the_leak_the_duplicate_and_the_hole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", 0), ("b", 1), ("c", 2)):
        Image.fromarray(photo(seed)).save(_made(tmp_path / "RealSRSet") / f"{name}.png")
    Image.fromarray(photo(0)).save(tmp_path / "RealSRSet" / "again.png")
    Image.fromarray(photo(1)[:, ::-1]).save(_made(tmp_path / "test") / "t.jpg", quality=60)
    arguments = ("check", tmp_path / "RealSRSet", "--test", tmp_path / "test", "--workers", 0, "-o", tmp_path / "out")
    assert run(*arguments) == 1
    said = capsys.readouterr().out
    assert "| RealSRSet | 4      | 20       | INCOMPLETE |" in said
    assert said == (tmp_path / "out" / "data_check.md").read_text()
    found = json.loads((tmp_path / "out" / "data_check.json").read_text())
    (twins,) = found["duplicates"]
    assert twins["exact"]
    assert {Path(twins[key]).name for key in ("first", "second")} == {"a.png", "again.png"}
    (leak,) = found["leaks"]
    assert (Path(leak["first"]).name, Path(leak["second"]).name) == ("b.png", "t.jpg")


def test_sound_data_end_well(photos: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", photos[0].parent, "--workers", 0) == 0
    assert "0 duplicates, 0 leaks, 0 faults" in capsys.readouterr().out


def test_known_folders_are_found_wherever_they_lie(tmp_path: Path) -> None:
    for folder in ("DIV2K/DIV2K_train_LR_bicubic/X4", "OutdoorSceneTrain_v2/sky", "DIV2K/DIV2K_valid_HR"):
        (_made(tmp_path / folder) / "1.png").touch()
    found = {(item.name, item.expected, item.found) for item in find_layouts(tmp_path)}
    assert found == {
        ("DIV2K_train_LR_bicubic/X4", 800, 1),
        ("OutdoorSceneTrain_v2", 10324, 1),
        ("OutdoorSceneTrain_v2/sky", 1727, 1),
        ("DIV2K_valid_HR", 100, 1),
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "none"), "none: no such folder"),
        (("lmdb", "-i", "none", "-o", "x.lmdb"), "none: no such folder"),
        (("lmdb", "-i", ".", "-o", "x"), "must end in .lmdb"),
        (("subimages", "-i", ".", "-o", "x", "--crop_size", "0"), "must be 1 or more"),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple, said: str
) -> None:
    monkeypatch.chdir(write_photos(tmp_path / "photos"))
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
