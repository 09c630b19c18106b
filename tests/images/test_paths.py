import os
from pathlib import Path

import pytest

from realciao.errors import UserError
from realciao.images.paths import IMAGE_SUFFIXES, list_images


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_lists_what_rglob_finds_with_an_image_suffix_in_any_case(tmp_path: Path) -> None:
    _touch(
        tmp_path, "b.PNG", "a.jpg", "deep/er/c.Jpeg", "deep/d.webp", "e.tif", "f.TIFF", "g.bmp", "notes.txt", "h.npy"
    )
    expected = {path for path in tmp_path.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES}
    assert set(list_images(tmp_path)) == expected
    assert len(expected) == 7


def test_the_order_is_that_of_the_relative_names(tmp_path: Path) -> None:
    _touch(tmp_path, "z.png", "a/z.png", "a.png", "a-1/x.png", "B.png")
    names = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert names == sorted(names)


def test_a_folder_named_like_an_image_is_entered_and_not_listed(tmp_path: Path) -> None:
    _touch(tmp_path, "x.png/inner.png")
    assert list_images(tmp_path) == [tmp_path / "x.png" / "inner.png"]


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    _touch(tmp_path, "photo.jpg", "._photo.jpg")
    assert list_images(tmp_path) == [tmp_path / "photo.jpg"]


def test_linked_folders_are_followed_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    _touch(tmp_path, "elsewhere/a.png", "root/b.png")
    try:
        os.symlink(tmp_path / "elsewhere", tmp_path / "root" / "link")
        os.symlink(tmp_path / "root", tmp_path / "root" / "circle")
    except OSError:
        pytest.skip("links cannot be made here")
    assert list_images(tmp_path / "root") == [tmp_path / "root" / "b.png", tmp_path / "root" / "link" / "a.png"]


@pytest.mark.parametrize(
    ("name", "says"), [("missing", "no such folder"), ("file.png", "a file"), ("empty", "no image")]
)
def test_a_folder_that_yields_nothing_is_one_line_with_its_path(tmp_path: Path, name: str, says: str) -> None:
    _touch(tmp_path, "file.png", "empty/notes.txt")
    with pytest.raises(UserError) as caught:
        list_images(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
