"""The degrade command: files in, files out, and one line for everything that is wrong."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from exit_status import exit_status
from PIL import Image

import degradations
from realciao.commands.degrade import main
from realciao.errors import UserError

_run = partial(exit_status, main)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, shape in (("a.png", (40, 33, 3)), ("deep/b.v2.PNG", (21, 50, 3)), ("deep/grey.bmp", (16, 16))):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(path)
    return tmp_path / "in"


def test_the_tree_is_mirrored_and_every_plan_remakes_its_image(photos: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert _run("-i", photos, "-o", out, "--pipeline", "realesrgan", "--scale", "3.3", "--seed", "7") == 0
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert written == [f"{stem}.{ext}" for stem in ("a", "deep/b.v2", "deep/grey") for ext in ("json", "png")]
    for source in ("a.png", "deep/b.v2.PNG"):
        hr = np.asarray(Image.open(photos / source), np.float32) / np.float32(255)
        target = out / source[:-4]
        lq = np.array(Image.open(f"{target}.png"))
        plan = json.loads(Path(f"{target}.json").read_text())
        assert lq.shape[:2] == (round(hr.shape[0] / 3.3), round(hr.shape[1] / 3.3))
        np.testing.assert_array_equal(lq, np.rint(degradations.apply(plan, hr) * 255))


def test_images_take_the_plans_of_their_running_number_and_the_seed(photos: Path, tmp_path: Path):
    assert _run("-i", photos, "-o", tmp_path / "out", "--scale", "2", "--seed", "9") == 0
    plan = json.loads((tmp_path / "out" / "deep" / "b.v2.json").read_text())
    rng = np.random.Generator(np.random.Philox(key=[9, 1]))
    assert plan == degradations.build_pipeline("realesrgan").sample(rng, (21, 50), 2.0)


def test_a_replay_gives_the_same_bytes(photos: Path, tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert _run("-i", photos / "a.png", "-o", first, "--scale", "2", "--seed", "3") == 0
    assert _run("-i", photos / "a.png", "-o", second, "--replay", first / "a.json") == 0
    assert (first / "a.png").read_bytes() == (second / "a.png").read_bytes()
    assert (first / "a.json").read_bytes() == (second / "a.json").read_bytes()


def test_a_plan_for_another_size_is_one_line_per_image(photos: Path, tmp_path: Path, capsys):
    assert _run("-i", photos / "a.png", "-o", tmp_path / "one", "--scale", "2") == 0
    capsys.readouterr()
    assert _run("-i", photos, "-o", tmp_path / "two", "--replay", tmp_path / "one" / "a.json") == 1
    captured = capsys.readouterr()
    assert [line for line in captured.err.splitlines() if "the plan is for an image of [40, 33]" in line] == (
        captured.err.splitlines()
    )
    assert len(captured.err.splitlines()) == 2
    assert captured.out.startswith("1 of 3 images")


def test_bad_files_are_reported_and_the_rest_goes_on(photos: Path, tmp_path: Path, capsys):
    (photos / "empty.png").write_bytes(b"")
    (photos / "text.jpg").write_text("no image")
    (photos / "broken.png").write_bytes((photos / "a.png").read_bytes()[:300])
    assert _run("-i", photos, "-o", tmp_path / "out", "--pipeline", "bicubic", "--scale", "2") == 1
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 3
    for name in ("empty.png", "text.jpg", "broken.png"):
        assert captured.err.count(str(photos / name)) == 1
    assert captured.out.startswith("3 of 6 images")
    assert len(list((tmp_path / "out").rglob("*.*"))) == 6


def test_existing_results_and_inputs_are_not_replaced(photos: Path, tmp_path: Path, capsys):
    args = ("-i", photos, "-o", tmp_path / "out", "--pipeline", "bicubic", "--scale", "2")
    assert _run(*args) == 0
    before = (tmp_path / "out" / "a.png").stat().st_mtime_ns
    assert _run(*args) == 2
    assert "a.png exists (and 5 more); give --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.png").stat().st_mtime_ns == before
    assert _run(*args, "--overwrite") == 0
    assert _run("-i", photos, "-o", photos, "--scale", "2", "--overwrite") == 2
    assert "would replace an input" in capsys.readouterr().err


def test_results_below_the_photos_are_not_degraded_again(photos: Path):
    args = ("-i", photos, "-o", photos / "out", "--scale", "2", "--overwrite")
    assert _run(*args) == 0
    before = {path: path.read_bytes() for path in (photos / "out").rglob("*") if path.is_file()}
    assert _run(*args) == 0
    assert {path: path.read_bytes() for path in (photos / "out").rglob("*") if path.is_file()} == before


def test_a_plan_that_is_there_is_not_replaced(photos: Path, tmp_path: Path, capsys):
    plan = tmp_path / "out" / "deep" / "b.v2.json"
    plan.parent.mkdir(parents=True)
    plan.write_text("mine")
    assert _run("-i", photos, "-o", tmp_path / "out", "--scale", "2") == 2
    assert f"{plan} exists; give --overwrite" in capsys.readouterr().err
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [plan]


def test_two_images_of_one_name_are_refused_before_anything_is_written(photos: Path, tmp_path: Path, capsys):
    Image.new("RGB", (9, 9)).save(photos / "a.jpg")
    assert _run("-i", photos, "-o", tmp_path / "out", "--scale", "2") == 2
    assert "rename one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--scale", "0.5"), "must be 1 or more"),
        (("--scale", "two"), "invalid"),
        (("--seed", "-1"), "from 0 to 2^64"),
        (("--pipeline", "realesrgam"), "did you mean 'realesrgan'?"),
        (("--pipeline", "gone.yml"), "gone.yml: cannot be read"),
        (("--replay", "gone.json"), "gone.json: cannot be read"),
        (("-i", "gone.png"), "gone.png: no such file"),
        (("--extract_noise", "--gallery"), "--extract_noise: degrades nothing"),
    ],
)
def test_wrong_arguments_end_in_one_line(photos: Path, tmp_path: Path, capsys, args, words):
    assert _run("-i", photos, "-o", tmp_path / "out", *args) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "is not JSON"),
        ("[]", "expected a plan"),
        ("9" * 5000, "is not JSON"),
        ('{"version": 9}', "version: expected"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(photos: Path, tmp_path: Path, capsys, text, words):
    (tmp_path / "plan.json").write_text(text)
    assert _run("-i", photos, "-o", tmp_path / "out", "--replay", tmp_path / "plan.json") == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("step", "change"),
    [(0, {"sigma_px": []}), (0, {"kernel_size": 10**12}), (9, {"kernel_size": 0}), (9, {"kernel_size": -1})],
)
def test_an_edited_plan_that_cannot_be_applied_is_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], step: int, change: dict[str, object]
) -> None:
    assert _run("-i", photos / "a.png", "-o", tmp_path / "out", "--pipeline", "realesrgan", "--scale", "2") == 0
    plan = json.loads((tmp_path / "out" / "a.json").read_text())
    plan["steps"][step] |= change
    edited = tmp_path / "edited.json"
    edited.write_text(json.dumps(plan))
    capsys.readouterr()
    assert _run("-i", photos / "a.png", "-o", tmp_path / "again", "--replay", edited) != 0
    assert f"steps.{step}" in capsys.readouterr().err


def test_a_name_that_leaves_no_room_for_the_plan_leaves_no_image_either(tmp_path: Path, capsys):
    photo = tmp_path / f"{'n' * 251}.png"  # 255 bytes, the longest; the plan's ending has one more
    Image.new("RGB", (16, 16)).save(photo)
    assert _run("-i", photo, "-o", tmp_path / "out", "--pipeline", "bicubic") == 1
    assert "cannot be written" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_in_a_results_place_is_refused_at_once(photos: Path, tmp_path: Path, capsys):
    (tmp_path / "out" / "a.png").mkdir(parents=True)
    assert _run("-i", photos / "a.png", "-o", tmp_path / "out", "--pipeline", "bicubic", "--overwrite") == 2
    assert f"{tmp_path / 'out' / 'a.png'}: is a folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_an_image_that_cannot_be_written_leaves_no_plan(photos: Path, tmp_path: Path, capsys, monkeypatch):
    def fills_up(path: Path, image: np.ndarray) -> None:
        raise UserError(f"{path}: cannot be written (the disk is full)")

    monkeypatch.setattr("realciao.commands.degrade_pairs.write_image", fills_up)
    assert _run("-i", photos / "a.png", "-o", tmp_path / "out", "--pipeline", "bicubic") == 1
    assert f"{tmp_path / 'out' / 'a.png'}: cannot be written" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_an_output_that_is_below_a_file_is_refused_at_once(photos: Path, tmp_path: Path, capsys):
    (tmp_path / "file").write_text("")
    assert _run("-i", photos, "-o", tmp_path / "file" / "out", "--stats") == 2
    assert capsys.readouterr().err.count("\n") == 1
