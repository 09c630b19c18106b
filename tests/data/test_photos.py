"""Where photos come from."""

from pathlib import Path

import pytest
from PIL import Image

from realciao.data import builtin_photo
from realciao.data.photos import find_photos, unique_names
from realciao.errors import UserError


def test_training_never_sees_a_held_out_photo() -> None:
    train, val = set(find_photos("builtin")), set(find_photos("builtin_val"))
    assert train
    assert val
    assert not train & val
    assert builtin_photo("rocket") not in train
    # nor is there a second view of a scene that training sees
    assert builtin_photo("motorcycle_right") not in train | val


def test_folders_files_and_builtin_sets_add_up_in_order_and_none_comes_twice(tmp_path: Path) -> None:
    for name in ("deep/er/c.JPG", "b.webp", "a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    found = find_photos([str(tmp_path / "b.webp"), str(tmp_path), "builtin_val"])
    assert found[:3] == [tmp_path / "b.webp", tmp_path / "a.png", tmp_path / "deep" / "er" / "c.JPG"]
    assert found[3:] == find_photos("builtin_val")


@pytest.mark.parametrize("root", [[], "nowhere", ["builtin", "nowhere"]])
def test_nothing_there_is_an_error(root: str | list[str]) -> None:
    with pytest.raises(UserError, match=r"nowhere|empty"):
        find_photos(root)


def test_an_unknown_builtin_photo_is_an_error() -> None:
    with pytest.raises(UserError, match="rokket"):
        builtin_photo("rokket")


def test_files_of_one_stem_are_told_apart_by_their_folders() -> None:
    paths = [Path(p) for p in ("x/a.png", "y/a.png", "y/b.png", "z/y/b.png")]
    assert unique_names(paths) == ["x_a", "y_a", "y_b", "z_y_b"]
    assert unique_names([]) == []
