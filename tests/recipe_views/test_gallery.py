"""The gallery: what it shows is what the plan does, it stands alone, and it says what it cannot show."""

import base64
import io
import json
import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from exit_status import exit_status
from PIL import Image

import degradations
from realciao.commands.degrade import main
from realciao.recipe_views.gallery import show
from realciao.recipe_views.gallery_page import build_page

_run = partial(exit_status, main)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(rng.integers(0, 256, (40, 33, 3), np.uint8)).save(folder / "a <b> & c.png")
    Image.fromarray(rng.integers(0, 256, (16, 50), np.uint8)).save(folder / "deep" / "grey.bmp")
    Image.fromarray(rng.integers(0, 65536, (9, 8), np.uint16)).save(folder / "deep" / "tiny16.png")
    Image.new("RGB", (1, 1), (9, 99, 200)).save(folder / "dot.jpg")
    return folder


class _Page(HTMLParser):
    """The tags and attributes of a page, and whether each that is opened is closed."""

    VOID = ("img", "meta")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for name, attrs in self.tags if name == tag and attribute in attrs]


def _decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


def test_all_kinds_of_images_are_shown_in_a_page_that_stands_alone(photos: Path, tmp_path: Path, capsys) -> None:
    assert _run("-i", photos, "-o", tmp_path / "out", "--gallery", "--scale", "3.3") == 0
    text = (tmp_path / "out" / "gallery.html").read_text(encoding="utf-8")
    page = _Page(text)
    assert len(page.all("section", "class") or re.findall("<section>", text)) == 4
    assert "a &lt;b&gt; &amp; c.png" in text
    links = page.all("img", "src") + page.all("a", "href")
    assert links
    assert all(link.startswith("data:") for link in links)
    assert not re.findall(r"(?:url\(|@import|https?:|<script|<link)", text)
    for uri in page.all("img", "src"):
        assert _decoded(uri).size[0] >= 1
    assert Image.open(tmp_path / "out" / "gallery.png").mode == "RGB"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["gallery.html", "gallery.png"]


def test_every_step_of_the_plan_is_shown_with_its_words_and_its_pixels() -> None:
    image = np.random.default_rng(0).random((24, 24, 3), np.float32)
    plan = degradations.build_pipeline("realesrgan").sample(np.random.default_rng(3), (24, 24), 2)
    exhibit = show("x.png", plan, image)
    # the whole of so small an image is shown
    assert exhibit.box == (0, 0, 1, 1)
    assert [panel.words for panel in exhibit.panels[2:]] == [degradations.describe(step) for step in plan["steps"]]
    np.testing.assert_array_equal(exhibit.panels[0].crop, np.rint(image * 255))
    np.testing.assert_array_equal(
        exhibit.panels[1].crop, np.rint(np.clip(degradations.target(plan, image), 0, 1) * 255)
    )
    np.testing.assert_array_equal(exhibit.panels[-1].crop, np.rint(degradations.apply(plan, image) * 255))
    page = _Page(build_page("t", [exhibit]))
    pictures = [_decoded(uri) for uri in page.all("img", "src")]
    assert len(pictures) == 2 + len(exhibit.panels)
    np.testing.assert_array_equal(np.asarray(pictures[-1]), exhibit.panels[-1].crop)


def test_the_plan_in_the_page_is_that_of_the_ordinary_run_and_can_be_replayed(photos: Path, tmp_path: Path) -> None:
    source = photos / "deep" / "grey.bmp"
    assert _run("-i", source, "-o", tmp_path / "plain", "--scale", "2", "--seed", "5") == 0
    assert _run("-i", source, "-o", tmp_path / "one", "--scale", "2", "--seed", "5", "--gallery") == 0
    page = _Page((tmp_path / "one" / "gallery.html").read_text(encoding="utf-8"))
    saved = tmp_path / page.all("a", "download")[0]
    saved.write_bytes(base64.b64decode(page.all("a", "href")[0].partition("base64,")[2]))
    assert saved.name == "grey.json"
    assert json.loads(saved.read_text()) == json.loads((tmp_path / "plain" / "grey.json").read_text())
    assert _run("-i", source, "-o", tmp_path / "two", "--gallery", "--replay", saved) == 0
    again = _Page((tmp_path / "two" / "gallery.html").read_text(encoding="utf-8"))
    assert again.all("img", "src") == page.all("img", "src")


def test_a_bad_image_is_named_and_the_others_are_shown(photos: Path, tmp_path: Path, capsys) -> None:
    (photos / "broken.png").write_bytes(b"no image")
    assert _run("-i", photos, "-o", tmp_path / "out", "--gallery", "--pipeline", "bicubic") == 1
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert str(photos / "broken.png") in captured.err
    assert captured.out.startswith("4 images")


def test_nothing_is_replaced_unasked_and_nothing_is_written_for_nothing(photos: Path, tmp_path: Path, capsys) -> None:
    args = ("-i", photos / "dot.jpg", "-o", tmp_path / "out", "--gallery")
    assert _run(*args) == 0
    assert _run(*args) == 2
    assert "give --overwrite" in capsys.readouterr().err
    assert _run(*args, "--overwrite") == 0
    (tmp_path / "bad.png").write_bytes(b"")
    assert _run("-i", tmp_path / "bad.png", "-o", tmp_path / "none", "--gallery") == 2
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--gallery", "--scale", "2", "3"), "several are for --stats"),
        (("--gallery", "--stats"), "not allowed with"),
        (("--stats", "--replay", "plan.json"), "--replay: one plan has no statistics"),
        (("--draws", "3"), "is for --stats and --match"),
        (("--stats", "--draws", "0"), "must be 1 or more"),
    ],
)
def test_modes_that_do_not_go_together_end_in_one_line(photos: Path, tmp_path: Path, capsys, args, words) -> None:
    assert _run("-i", photos, "-o", tmp_path / "out", *args) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
