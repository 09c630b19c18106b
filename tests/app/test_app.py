"""The app's parts, without a server: against the commands, against wholes, and after a kill."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_weights import save_tiny

from realciao.app import folders
from realciao.app.degrading import Degrading
from realciao.app.folders import app_folder
from realciao.app.guard import Guard
from realciao.app.limits import Limits
from realciao.app.photos import clean_name, look_at, take
from realciao.app.sessions import Session, SessionGoneError, Sessions
from realciao.app.upscaling import Upscalers, Upscaling
from realciao.app.views import View, show_part
from realciao.app.work import Report, run
from realciao.commands import degrade, infer
from realciao.errors import UserError
from realciao.images.reading import read_image, write_image

LIMITS = Limits(input_mp=0.05, output_mp=0.2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("weights")
    return [save_tiny(folder / f"{seed}.safetensors", seed) for seed in (0, 1)]


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    (tmp_path / "app").mkdir()
    return Sessions(tmp_path / "app", LIMITS)


@pytest.fixture(scope="module")
def upscalers(weights: list[str]) -> Upscalers:
    return Upscalers(weights, device="cpu")


@pytest.fixture
def upscaling(sessions: Sessions, upscalers: Upscalers) -> Upscaling:
    return Upscaling(sessions, upscalers, LIMITS)


def give(session: Session, file: Path) -> None:
    """As an upload does."""
    stored = session.folder / f"photo-{time.monotonic_ns()}"
    stored.write_bytes(file.read_bytes())
    take(session, stored, file.name, LIMITS)


def last(messages: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return list(messages)[-1]


def command(main: Any, *arguments: object) -> None:
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, arguments)))
    assert caught.value.code == 0


def photo_file(folder: Path, name: str) -> Path:
    """24 x 17, with what its format can say of a photo."""
    rng = np.random.default_rng(0)
    if name.endswith("tif"):
        write_image(folder / name, rng.integers(0, 65536, (17, 24, 4)).astype(np.uint16))
    else:
        exif = Image.Exif()
        exif[271], exif[274] = "Ours", 6
        image = Image.fromarray(rng.integers(0, 256, (24, 17, 3)).astype(np.uint8))
        image.save(folder / name, exif=exif, dpi=(240, 240), quality=90)
    return folder / name


@pytest.mark.parametrize(
    ("name", "wish", "options"),
    [
        ("a.png", {"scale": 2.37}, ["-s", "2.37"]),
        ("b.JPG", {"size": [40, 31], "quality": 80}, ["--size", "31x40", "--quality", "80"]),
        ("c.tif", {"scale": 1.5, "denoise": 0.25}, ["-s", "1.5", "-dn", "0.25"]),
        ("d.jpg", {"scale": 3, "ext": "webp"}, ["-s", "3", "--ext", "webp"]),
    ],
)
def test_the_file_is_the_command_lines_byte_for_byte(
    upscaling: Upscaling, weights: list[str], tmp_path: Path, name: str, wish: dict[str, Any], options: list[str]
) -> None:
    file = photo_file(tmp_path, name)
    session = upscaling.sessions.begin()
    give(session, file)
    done = last(upscaling.upscale(session.key, wish))["done"]
    dial = [] if "-dn" in options else ["-dn", "0"]
    command(infer.main, "-i", file, "-o", tmp_path / "out", "-m", *weights, *dial, *options, "--device", "cpu")
    (expected,) = (tmp_path / "out").iterdir()
    assert session.made is not None
    assert session.made.path.read_bytes() == expected.read_bytes()
    height, width = done["size"]
    assert done["name"] == f"{file.stem}_{width}x{height}{expected.suffix.lower()}"
    shown = read_image(expected)
    assert np.abs(session.made.image.astype(float) / 255 - shown / np.iinfo(shown.dtype).max).max() < 0.5 / 255 + 1e-6


def test_a_preview_is_that_part_of_the_whole(upscaling: Upscaling, tmp_path: Path) -> None:
    session = upscaling.sessions.begin()
    give(session, photo_file(tmp_path, "a.png"))
    last(upscaling.upscale(session.key, {"scale": 2.37}))
    assert session.made is not None
    whole = session.made.image.astype(int)
    seen = last(upscaling.preview(session.key, {"scale": 2.37}, [5, 11, 21, 30]))["done"]
    y0, x0, y1, x1 = seen["box"]
    assert y0 <= 5
    assert x0 <= 11
    assert y1 >= 21
    assert x1 >= 30
    part = np.asarray(Image.open(io.BytesIO(session.picture(seen["picture"]).data)), int)
    assert np.abs(part - whole[y0:y1, x0:x1]).max() <= 1  # levels: float rounding at a tile's border


def test_degrading_is_the_commands_and_its_plan_replays(sessions: Sessions, tmp_path: Path) -> None:
    file = photo_file(tmp_path, "a.png")
    session = sessions.begin()
    give(session, file)
    done = last(Degrading(sessions).degrade(session.key, "realesrgan", 2.5, 7))["done"]
    plan, photo = session.picture(done["plan"]), session.picture(done["photo"])
    command(degrade.main, "-i", file, "-o", tmp_path / "drawn", "--pipeline", "realesrgan", "--scale", 2.5, "--seed", 7)
    assert (tmp_path / "drawn" / "a.png").read_bytes() == photo.data
    assert (tmp_path / "drawn" / "a.json").read_bytes() == plan.data
    (tmp_path / plan.name).write_bytes(plan.data)
    command(degrade.main, "-i", file, "-o", tmp_path / "again", "--replay", tmp_path / plan.name)
    assert (tmp_path / "again" / "a.png").read_bytes() == photo.data
    steps = json.loads(plan.data)["steps"]
    assert len(done["panels"]) == 1 + (json.loads(plan.data)["target"] is not None) + len(steps)
    assert any(panel["words"].startswith("quality ") for panel in done["panels"])  # JPEG's, in words


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"scale": 0}, "not a number above 0"),
        ({"scale": "nan"}, "not a number above 0"),
        ({"scale": 60}, "a result of 1440 x 1020 has 1.47 megapixels; this server makes up to 0.2"),
        ({"scale": 1e300}, "more than"),
        ({"size": [10**12, 1]}, "above the 4000000000 pixels"),
        ({"size": [10**400, 1]}, "above the 4000000000 pixels"),
        ("no wish", "neither a scale nor a size"),
        ({"size": [1]}, "neither a scale nor a size"),
        ({}, "neither a scale nor a size"),
        ({"scale": 2, "denoise": 7}, "denoise dial"),
        ({"scale": 2, "quality": 0}, "quality goes from 1 to 100"),
        ({"scale": 2, "ext": "../x.png"}, "no photo is written as"),
    ],
)
def test_a_request_that_cannot_be_is_answered_in_words(
    upscaling: Upscaling, tmp_path: Path, wish: dict[str, Any], words: str
) -> None:
    session = upscaling.sessions.begin()
    give(session, photo_file(tmp_path, "a.png"))
    said = last(upscaling.upscale(session.key, wish))["error"]
    assert words in said
    assert str(tmp_path) not in said
    assert session.made is None


def test_recipes_are_known_by_name_alone(sessions: Sessions, tmp_path: Path) -> None:
    session = sessions.begin()
    give(session, photo_file(tmp_path, "a.png"))
    work = Degrading(sessions)
    (tmp_path / "own.yml").write_text("steps: []")
    for recipe in (str(tmp_path / "own.yml"), "../recipes/realesrgan", "/etc/passwd", "", None):
        assert last(work.degrade(session.key, recipe, 2, 0))["error"] == "there is no such recipe"  # type: ignore[arg-type]
    assert "scale" in last(work.degrade(session.key, "bicubic", 0.5, 0))["error"]
    assert "seed" in last(work.degrade(session.key, "bicubic", 2, -1))["error"]


def test_a_photo_that_is_none_leaves_the_one_that_was_there(sessions: Sessions, tmp_path: Path) -> None:
    session = sessions.begin()
    give(session, photo_file(tmp_path, "a.png"))
    before = session.given
    (session.folder / "bad").write_text("no photo")
    with pytest.raises(UserError, match=r"^the file holiday\.png is no PNG, JPEG"):
        take(session, session.folder / "bad", "holiday.png", LIMITS)
    Image.new("RGB", (300, 300)).save(session.folder / "large", format="PNG")
    with pytest.raises(UserError, match=r"300x300 are more than 0\.05 megapixels"):
        take(session, session.folder / "large", "large.png", LIMITS)
    assert session.given is before


def test_who_goes_takes_everything_along(upscaling: Upscaling, tmp_path: Path) -> None:
    sessions = upscaling.sessions
    one, other = sessions.begin(), sessions.begin()
    assert one.key != other.key
    give(one, photo_file(tmp_path, "a.png"))
    give(other, photo_file(tmp_path, "a.png"))
    messages = upscaling.upscale(one.key, {"scale": 4})
    next(messages)
    sessions.end(one.key)
    assert list(messages)[-1].keys() <= {"stopped", "error"}
    for _ in range(100):
        if not one.folder.exists():
            break
        time.sleep(0.02)
    assert not one.folder.exists()
    assert last(upscaling.upscale(one.key, {"scale": 2}))["gone"]
    with pytest.raises(SessionGoneError):
        sessions.get(one.key)
    assert other.photo().name == "a.png"
    other.seen -= 60 * LIMITS.idle_minutes + 1
    sessions.expire()
    assert not other.folder.exists()


def test_there_is_room_for_so_many(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path, Limits(guests=2))
    first, _ = sessions.begin(), sessions.begin()
    with pytest.raises(UserError, match="2 pages are open"):
        sessions.begin()
    sessions.end(first.key)
    sessions.begin()


def test_what_is_mapped_into_memory_outlives_its_file(upscaling: Upscaling, tmp_path: Path) -> None:
    session = upscaling.sessions.begin()
    give(session, photo_file(tmp_path, "a.png"))
    last(upscaling.upscale(session.key, {"scale": 9, "ext": "tif"}))
    before = session.result()
    values = np.array(before.image)
    last(upscaling.upscale(session.key, {"scale": 0.1, "ext": "tif"}))
    assert np.array_equal(before.image, values)  # where the file was written over, the process ends here
    assert not before.path.exists()
    give(session, photo_file(tmp_path, "a.png"))
    assert {file.stem for file in session.folder.iterdir()} == {session.photo().path.stem}


def test_pictures_are_kept_as_far_as_there_is_room(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realciao.app.sessions.MAX_PICTURE_BYTES", 10)
    session = sessions.begin()
    first, second, third = (session.keep(bytes(size), "image/png") for size in (6, 4, 12))
    assert len(session.picture(third).data) == 12
    for key in (first, second):
        with pytest.raises(SessionGoneError):
            session.picture(key)


def test_work_stops_when_nobody_listens_when_time_is_up_and_when_the_guest_goes() -> None:
    seen: list[float] = []

    def work(report: Report) -> dict[str, Any]:
        for number in range(1000):
            seen.append(number)
            report(number / 1000)
            time.sleep(0.005)
        return {}

    messages = run(work, 1, threading.Event())
    next(messages)
    assert next(messages)["left_s"] > 0
    messages.close()
    time.sleep(0.05)
    count = len(seen)
    time.sleep(0.05)
    assert len(seen) == count < 1000
    assert "stopped after 0.0001 minutes" in list(run(work, 0.0001, threading.Event()))[-1]["error"]
    gone = threading.Event()
    gone.set()
    assert list(run(work, 1, gone))[-1] == {"stopped": True}


def test_a_fault_of_ours_is_one_sentence_to_the_guest(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: Report) -> dict[str, Any]:
        raise ZeroDivisionError("/secret/path")

    assert "/secret" not in list(run(work, 1, threading.Event()))[-1]["error"]
    assert "/secret" in capsys.readouterr().err


@given(
    st.integers(1, 40), st.integers(1, 40), st.floats(1, 5), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)
)  # fmt: skip
@settings(derandomize=True, deadline=None, max_examples=15)
def test_a_shown_part_is_that_part_of_the_whole(
    height: int, width: int, scale: float, top: float, left: float, share: float
) -> None:
    ys, xs, channel = np.indices((height, width, 3))  # no overshoot, which Pillow clips in an order of its own
    image = (128 + 60 * np.sin(ys / 2 + channel) * np.cos(xs / 3)).astype(np.uint8)
    plane = (round(height * scale), round(width * scale))
    y0, x0 = int(top * (plane[0] - 1)), int(left * (plane[1] - 1))
    y1, x1 = y0 + 1 + int(share * (plane[0] - y0 - 1)), x0 + 1 + int(share * (plane[1] - x0 - 1))
    whole = Image.fromarray(image).resize((plane[1], plane[0]), Image.Resampling.BICUBIC)
    part = show_part(image, View(plane, (y0, x0, y1, x1), (y1 - y0, x1 - x0)).check())
    assert np.abs(np.asarray(part, int) - np.asarray(whole, int)[y0:y1, x0:x1]).max() <= 1


def test_one_looks_first_at_the_part_with_the_most_detail() -> None:
    image = np.full((90, 120), 128, np.uint8)
    image[60:80, 90:110] = np.random.default_rng(0).integers(0, 256, (20, 20))
    y, x = look_at(image)
    assert y == pytest.approx(70 / 90, abs=0.12)
    assert x == pytest.approx(100 / 120, abs=0.12)
    assert look_at(np.zeros((1, 1), np.uint8)) == (0.5, 0.5)


@given(st.text(st.sampled_from('aZ9 ._-$/\\:*?"<>|\n\r\0\u202e\u00e9\U0001f600\ud800'), max_size=200))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_a_name_is_never_a_path(text: str) -> None:
    name = clean_name(text)
    assert name
    assert not set(name) & set('/\\:*?"<>|\n\r\0')
    assert len(name) <= 120
    assert clean_name(f"../../etc/{name}") == clean_name(f"C:\\x\\{name}") == name


def test_a_killed_apps_folder_goes_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
    code = (
        "import sys, time, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from realciao.app.folders import app_folder\n"
        "with app_folder() as folder:\n"
        "    (folder / 'photo').write_text('secret'); print(folder, flush=True); time.sleep(60)"
    )
    app = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert app.stdout is not None
    left = Path(app.stdout.readline().strip())
    outside = tmp_path / "kept"
    outside.mkdir()
    (tmp_path / f"{folders.PREFIX}link").symlink_to(outside)
    assert folders.sweep() == []  # it lives
    os.kill(app.pid, signal.SIGKILL)
    app.wait()
    app.stdout.close()
    assert (left / "photo").exists()
    with app_folder() as own:
        assert not left.exists()
        assert outside.exists()
        assert own.stat().st_mode & 0o077 == 0
    assert not own.exists()


def asked(path: str, method: str = "GET", **headers: str) -> int:
    """The status with which the guard answers, 200 where it lets through."""
    import asyncio

    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    names = {"host": "localhost:7860", **headers}
    pairs = [(name.encode(), value.encode()) for name, value in names.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": pairs}
    asyncio.run(Guard(app, frozenset({"localhost"}))(scope, None, send))  # type: ignore[arg-type]
    assert b"content-security-policy" in dict(sent[0]["headers"])
    return sent[0]["status"]


def test_only_the_pages_own_requests_get_through() -> None:
    for path in ("/", "/app/main.js", "/session", "/gradio_api/queue/data"):
        assert asked(path) == 200
    for path in ("/gradio_api/file=/etc/passwd", "/gradio_api/upload", "/gradio_api/proxy=http://x", "/config", "/app"):
        assert asked(path) == 404
    assert asked("/", host="evil.example") == 403  # a name that was made to point here
    assert asked("/session", "POST", origin="http://evil.example") == 403
    assert asked("/session", "POST", origin="http://localhost:7860") == 200
    assert asked("/", host="[") == asked("/session", "POST", origin="http://[") == 403  # no addresses
    for length, status in (("100", 200), ("10000000", 413)):
        assert asked("/gradio_api/queue/join", "POST", **{"content-length": length}) == status
    assert asked("/gradio_api/queue/join", "POST", **{"transfer-encoding": "chunked"}) == 411


@pytest.mark.parametrize("shape", [(0, 1), (20_000, 1), (1, 20_000), (5000, 5000)])
def test_what_is_shown_is_no_larger_than_screens(shape: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="nothing to see"):
        View((10, 10), (0, 0, 10, 10), shape).check()
