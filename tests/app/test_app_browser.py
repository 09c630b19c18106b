"""The app in a real browser, headless: one server and one browser for the whole file."""

import contextlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_weights import save_tiny

from realciao.app.folders import PREFIX
from realciao.commands import infer

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = [name for name in ("gradio", "playwright") if importlib.util.find_spec(name) is None]
if MISSING or BROWSER is None or not hasattr(os, "fork"):
    what = ", ".join([*MISSING, *([] if BROWSER else ["Chromium"]), *([] if hasattr(os, "fork") else ["fork"])])
    pytest.skip(f"the app is tried in a browser where there are Gradio, Playwright and Chromium; missing: {what}",
                allow_module_level=True)  # fmt: skip

from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402

PATIENCE_S = 120
"""On a machine that has other things to do."""
expect.set_options(timeout=1000 * PATIENCE_S)


SESSION = "import('./app/server.js').then((server) => server.about.session)"


class App:
    """A server of its own, with a temporary folder of its own, that can be killed and started again on the same port."""

    def __init__(self, folder: Path, weights: list[str]) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.arguments = ["-m", *weights, "--port", str(self.port), "--device", "cpu"]
        self.arguments += ["--max_output_mp", "40", "--max_input_mp", "1", "--max_upload_mb", "3"]
        environment = {**os.environ, "TMPDIR": str(folder)}
        self.launcher = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[1] / "forking_app.py")],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.said: list[str] = []
        self.start()

    def start(self) -> None:
        assert self.launcher.stdin is not None
        assert self.launcher.stdout is not None
        print(json.dumps(self.arguments), file=self.launcher.stdin, flush=True)
        self.pid = int(self.launcher.stdout.readline())
        while not (line := self.launcher.stdout.readline()).startswith("RealCiaoSR is on"):
            assert line, "the server did not start"
            self.said.append(line)
        self.url = f"http://127.0.0.1:{self.port}/"

    def end(self, how: signal.Signals) -> None:
        os.kill(self.pid, how)
        for _ in range(100 * PATIENCE_S):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                time.sleep(0.01)
                continue
            return

    def files(self) -> list[Path]:
        """What guests gave or were given, in the folders of apps alive or dead."""
        guests = [
            (Path(root), names) for root, _, names in os.walk(self.folder)
        ]  # which takes it that some go meanwhile
        return [root / name for root, names in guests if root.parent.name.startswith(PREFIX) for name in names]

    def wait_until_empty(self) -> None:
        for _ in range(20 * PATIENCE_S):
            if not self.files():
                return
            time.sleep(0.05)
        raise AssertionError(f"left over: {self.files()}")

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """A request as it is: no tidying of its path."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host="host" in headers)
            for name, value in {**headers, **({"content-length": str(len(body))} if body else {})}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            try:
                return answer.status, answer.read()
            except http.client.IncompleteRead as error:  # so does Gradio end a stream that nobody may hear
                return answer.status, error.partial


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("weights")
    return [save_tiny(folder / f"{seed}.safetensors", seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, weights: list[str]) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("app"), weights)
    yield app
    app.launcher.stdin.close()  # type: ignore[union-attr]
    with contextlib.suppress(ProcessLookupError):
        os.kill(app.pid, signal.SIGTERM)
    app.said += app.launcher.stdout.readlines()  # type: ignore[union-attr]
    app.launcher.wait()
    assert not [line for line in app.said if line.startswith(("CONNECTS", "LOOKS UP"))]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Browser, app: App, width: int = 900, height: int = 600) -> Iterator[Page]:
    """A guest's page; nothing that it asks for may come from elsewhere, and nothing may go wrong in it unsaid."""
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda request: wrong.extend([request.url] * (not request.url.startswith((app.url, "data:", "blob:")))),
    )
    page.goto(app.url)
    expect(page.locator("#accepts")).to_contain_text("megapixels")
    yield page
    page.goto("about:blank")  # leaves as a guest does, who closes the page
    context.close()
    assert not wrong


def make_photo(folder: Path, name: str, size: tuple[int, int] = (60, 40)) -> Path:
    rng = np.random.default_rng(len(name))
    exif = Image.Exif()
    exif[271] = "Ours"
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)).save(folder / name, exif=exif)
    return folder / name


def command_line(file: Path, folder: Path, weights: list[str], *options: str) -> bytes:
    with pytest.raises(SystemExit) as caught:
        infer.main(["-i", str(file), "-o", str(folder), "-m", *weights, "--device", "cpu", *options])
    assert caught.value.code == 0
    return (folder / file.name).read_bytes()


def give(page: Page, file: Path) -> None:
    page.set_input_files("#file", file)
    expect(page.locator("#upscale-form .name")).to_have_text(file.name)


def upscale(page: Page) -> None:
    page.click("#upscale-form .go")
    expect(page.locator("#upscale-form .download")).to_be_visible()


def download(page: Page, selector: str = "#upscale-form .download") -> bytes:
    with page.expect_download() as started:
        page.click(selector)
    return Path(started.value.path()).read_bytes()


def colours(page: Page, x: float, y: float) -> Any:
    """Of the viewer's canvas, in fractions of it."""
    return page.evaluate(
        "([x, y]) => { const c = document.querySelector('#upscale-view canvas');"
        " return [...c.getContext('2d').getImageData(c.width * x, c.height * y, 1, 1).data] }", [x, y],
    )  # fmt: skip


def test_upload_slide_upscale_and_download_what_the_command_line_makes(
    app: App, browser: Browser, weights: list[str], tmp_path: Path
) -> None:
    file = make_photo(tmp_path, "a.jpg")
    with opened(browser, app) as page:
        give(page, file)
        page.fill("#scale", "2.37")
        expect(page.locator("#size-hint")).to_contain_text("142 × 95 px")
        expect(page.locator("#size-hint")).to_contain_text("about")  # a preview was made
        page.fill("#denoise", "0.25")
        upscale(page)
        expect(page.locator("#upscale-form .notes")).to_contain_text("142 × 95 px in")
        expected = command_line(file, tmp_path / "out", weights, "-s", "2.37", "-dn", "0.25")
        assert download(page) == expected
        # the divider: what is shown at one place is the photo on its right, the result on its left
        divider = page.locator("#upscale-view .divider")
        page.click("#upscale-view [data-zoom=fit]")
        page.wait_for_timeout(700)
        seen = {}
        for key, side in (("Home", "after"), ("End", "before")):
            divider.press(key)
            seen[side] = colours(page, 0.4, 0.5)
        assert seen["before"] != seen["after"]
        box = divider.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 10, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(200, box["y"] + box["height"] / 2, steps=3)
        page.mouse.up()
        assert 20 < int(divider.get_attribute("aria-valuenow") or 0) < 50
        assert colours(page, 0.4, 0.5) == seen["after"]


def test_what_cannot_be_is_said_in_words(app: App, browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no photo")
    (tmp_path / "long.png").write_bytes(bytes(3_100_000))
    Image.new("L", (1200, 1000)).save(tmp_path / "large.png")
    with opened(browser, app) as page:
        toast = page.locator("#toast")
        page.set_input_files("#file", tmp_path / "bad.png")
        expect(toast).to_have_text("The file bad.png is no PNG, JPEG, WebP, TIFF or BMP image, or a broken one.")
        page.set_input_files("#file", tmp_path / "long.png")
        expect(toast).to_contain_text("larger than 3 MB")
        page.set_input_files("#file", tmp_path / "large.png")
        expect(toast).to_contain_text("1200x1000 are more than 1 megapixels")
        give(page, make_photo(tmp_path, "a.png"))
        page.fill("#scale", "60000")
        expect(page.locator("#size-hint")).to_contain_text("more than the 40 megapixels that this server makes")
        expect(page.locator("#upscale-form .go")).to_be_disabled()
        page.fill("#scale", "2")
        expect(page.locator("#upscale-form .go")).to_be_enabled()


def test_two_at_once_get_each_their_own(app: App, browser: Browser, weights: list[str], tmp_path: Path) -> None:
    files = [make_photo(tmp_path, name) for name in ("one.png", "three.jpg")]  # JPEG: its quality is asked for
    with opened(browser, app) as first, opened(browser, app, 390, 844) as second:
        for page, file in zip((first, second), files, strict=True):
            give(page, file)
        expect(second.locator("#quality")).to_be_visible()
        for page in (first, second):
            page.click("#upscale-form .go")
        made = []
        for page in (first, second):
            expect(page.locator("#upscale-form .download")).to_be_visible()
            made.append(download(page))
        assert second.evaluate("document.documentElement.scrollWidth") <= 390  # nothing sticks out on a phone
    for file, data in zip(files, made, strict=True):
        assert data == command_line(file, tmp_path / "out", weights, "-s", "2", "-dn", "0")
    assert made[0] != made[1]
    app.wait_until_empty()  # both have gone, and so must what they sent


def test_a_full_queue_is_said_and_a_page_that_was_given_up_begins_anew(
    app: App, browser: Browser, tmp_path: Path
) -> None:
    small, large = make_photo(tmp_path, "a.png", (20, 20)), make_photo(tmp_path, "large.png", (300, 300))
    other = json.loads(app.ask("/session", "POST")[1])["session"]
    assert app.ask(f"/session/{other}/photo?name=large.png", "POST", large.read_bytes())[0] == 200
    with opened(browser, app) as page:
        give(page, small)
        upscale(page)
        wish = {"fn_index": 1, "data": [other, {"scale": 20}], "simple_format": True}
        kind = {"content-type": "application/json"}
        bodies = [json.dumps({**wish, "session_hash": f"other{number}"}).encode() for number in range(12)]
        join = lambda body: app.ask("/gradio_api/queue/join", "POST", body, **kind)[0]  # noqa: E731
        statuses = [join(body) for body in bodies]
        assert statuses[0] == 200  # one at work, eight that wait, and what takes its time to begin
        assert statuses[-1] == 503
        page.fill("#scale", "3")
        page.click("#upscale-form .go")
        expect(page.locator("#upscale-form .trouble")).to_have_text(
            "Too many are waiting already; try again in a minute."
        )
        app.ask(f"/session/{other}/end", "POST")
        while join(bodies[0]) == 503:  # what waits ends one after the other
            time.sleep(0.1)
        upscale(page)
        app.ask(f"/session/{page.evaluate(SESSION)}/end", "POST")  # as after a long sleep
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        expect(page.locator("#upscale-form .download")).to_be_hidden()
        upscale(page)
        assert download(page).startswith(b"\x89PNG")


def test_degrade_and_take_the_plan(app: App, browser: Browser, tmp_path: Path) -> None:
    with opened(browser, app) as page:
        give(page, make_photo(tmp_path, "it's a.png"))
        page.click("#tab-degrade")
        page.select_option("#recipe", "bsrgan")
        page.fill("#seed", "5")
        page.click("#degrade-form .go")
        expect(page.locator("#steps li").first).to_contain_text("The photo")
        plan = json.loads(download(page, "#get-plan"))
        assert plan["recipe"] == "bsrgan"
        target = plan["target"] is not None
        expect(page.locator("#steps li")).to_have_count(1 + target + len(plan["steps"]))
        expect(page.locator("#replay")).to_contain_text(
            r"-i 'it'\''s a.png' -o degraded --replay 'it'\''s a_plan.json'"
        )
        assert download(page, "#get-degraded").startswith(b"\x89PNG")


def test_cancel_in_the_middle_then_a_kill_and_a_new_start(
    app: App, browser: Browser, weights: list[str], tmp_path: Path
) -> None:
    file = make_photo(tmp_path, "a.png", (300, 300))
    with opened(browser, app) as page:
        give(page, file)
        page.fill("#scale", "20")
        page.click("#upscale-form .go")
        expect(page.locator("#upscale-form .words")).to_have_text(re.compile(r"\d+ %, .* left"))
        page.click("#upscale-form .cancel")
        expect(page.locator("#upscale-form .go")).to_be_visible()
        expect(page.locator("#upscale-form .download")).to_be_hidden()
        page.fill("#scale", "1.5")
        upscale(page)
        assert not [path for path in app.files() if ".tmp" in path.name]
        app.end(signal.SIGKILL)
        left = app.files()
        assert left
        page.fill("#scale", "1.3")
        page.click("#upscale-form .go")
        expect(page.locator("#upscale-form .trouble")).to_contain_text("The server does not answer")
        app.start()
        assert not [path for path in left if path.exists()]
        upscale(page)  # the page has sent the photo again by itself
        assert download(page) == command_line(file, tmp_path / "out", weights, "-s", "1.3", "-dn", "0")
        app.end(signal.SIGTERM)
        app.wait_until_empty()
        app.start()


def test_no_file_of_the_machine_can_be_read(app: App, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("do not read me")
    session = json.loads(app.ask("/session", "POST")[1])["session"]
    folder = next(app.folder.glob("realciao-app-*"))
    (folder / "link").symlink_to(secret)
    for path in (secret, folder / "link", Path("/etc/passwd")):
        for way in (
            "/gradio_api/file={}", "/gradio_api/file/{}", "/file={}", "/gradio_api/proxy=file://{}", "/app/{}",
            "/app/..{}", "/app/%2e%2e%2f%2e%2e{}", "//{}", "/static/..{}", "/session/../..{}", "/session/KEY/picture/{}",
            "/session/KEY/picture/..%2f..{}", "/session/KEY/result?path={}", "/session/KEY/part?of={}",
            "/gradio_api/queue/data?session_hash={}",
        ):  # fmt: skip
            status, data = app.ask(way.format(path).replace("KEY", session))
            assert b"do not read" not in data
            assert b"root:" not in data
            assert status in (400, 404) or b"session_not_found" in data, way
    for method, path in (
        ("POST", "/gradio_api/upload"),
        ("GET", "/config"),
        ("GET", "/gradio_api/info"),
        ("GET", "/docs"),
    ):
        assert app.ask(path, method)[0] == 404
    files = [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in ("/etc/passwd", "http://example.org/x")]
    wishes = [[session, file] for file in files] + [[file, {"scale": 2}] for file in files]  # fetched, it would be seen
    for data in (*wishes, ["/etc/passwd", {"scale": 2}], [session, {"scale": 2, "ext": "/../../x"}]):
        body = json.dumps({"fn_index": 1, "data": data, "session_hash": "x", "simple_format": True}).encode()
        assert app.ask("/gradio_api/queue/join", "POST", body, **{"content-type": "application/json"})[0] == 200
        answer = app.ask("/gradio_api/queue/data?session_hash=x")[1]
        assert b'"error":' in answer
        assert b"resolve" not in answer
        assert b"root:" not in answer
    assert app.ask("/", host="evil.example")[0] == 403
    app.ask(f"/session/{session}/end", "POST")
