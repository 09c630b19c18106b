"""From a tree of images to a tree of results."""

import os
from pathlib import Path

import pytest

from realciao.commands.jobs import Job, mirror, refuse_existing
from realciao.errors import UserError


def tree(folder: Path, *names: str) -> Path:
    """Empty files below `folder`."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def pairs(source: Path, folder: Path, ending: str = ".png") -> dict[str, str]:
    """What `mirror` makes of it, relative to the two folders."""
    jobs = mirror(source, folder, lambda path: path.stem + ending)
    return {str(job.source.relative_to(source)): str(job.target.relative_to(folder)) for job in jobs}


def test_the_tree_of_the_input_is_that_of_the_results(tmp_path: Path):
    photos = tree(tmp_path / "in", "b/c.v2.jpg", "a.PNG", "b/notes.txt")
    assert pairs(photos, tmp_path / "out") == {"a.PNG": "a.png", "b/c.v2.jpg": "b/c.v2.png"}


@pytest.mark.parametrize("out", ["out", "deep/out"])
def test_results_below_the_input_are_no_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str):
    photos = tree(tmp_path / "in", "a.jpg", "outer/b.jpg", f"{out}/a.png", f"{out}/outer/b.png")
    expected = {"a.jpg": "a.png", "outer/b.jpg": "outer/b.png"}
    assert pairs(photos, photos / out) == expected
    monkeypatch.chdir(tmp_path)
    assert pairs(Path("in"), Path("in", "..", "in", out)) == expected
    (tmp_path / "link").symlink_to(photos / out)
    assert pairs(photos, tmp_path / "link") == expected


def test_a_folder_of_nothing_but_results_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="holds no image but"):
        pairs(tree(tmp_path / "in", "out/a.png"), tmp_path / "in" / "out")


@pytest.mark.parametrize(
    ("source", "folder", "says"),
    [
        ("in", "taken", "taken/a.png: is a folder, and the result's name"),
        ("gone", "out", "no such file or folder"),
        ("empty", "out", "holds no image"),
        ("in", "in/a.jpg", "is a file, not a folder"),
        ("twice", "out", "a.jpg and .*a.tif would both be written to .*a.png"),
        ("png", "png", "would replace an input"),
        ("png", "link", "would replace an input"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, source: str, folder: str, says: str):
    tree(tmp_path, "in/a.jpg", "twice/a.jpg", "twice/a.tif", "png/a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken" / "a.png").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "png")
    with pytest.raises(UserError, match=says) as caught:
        pairs(tmp_path / source, tmp_path / folder)
    assert "\n" not in str(caught.value)


def test_names_are_compared_as_the_system_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    photos = tree(tmp_path / "in", "a.jpg", "A.tif")
    assert len(pairs(photos, tmp_path / "out")) == 2
    monkeypatch.setattr(os.path, "normcase", lambda path: str(path).lower())
    with pytest.raises(UserError, match="would both be written"):
        pairs(photos, tmp_path / "out")


def test_what_exists_is_named_and_counted(tmp_path: Path):
    tree(tmp_path, "b.png")
    (tmp_path / "c.png").symlink_to(tmp_path / "nowhere")
    refuse_existing([tmp_path / "a.png"])
    with pytest.raises(UserError, match=r"b\.png exists \(and 1 more\); give --overwrite"):
        refuse_existing(tmp_path / name for name in ("a.png", "b.png", "c.png"))


def test_a_file_reached_by_two_ways_is_one_job(tmp_path: Path):
    (tmp_path / "a.png").touch()
    again = tmp_path / ".." / tmp_path.name / "a.png"
    jobs = mirror([tmp_path, tmp_path / "a.png", again], tmp_path / "out", lambda path: path.name)
    assert jobs == [Job(tmp_path / "a.png", tmp_path / "out" / "a.png")]
