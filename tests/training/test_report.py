"""report.html: it needs nothing outside itself, stays small, and says what the run's files say."""

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_run import tiny_options, write_options

from realciao.archs import build_network
from realciao.data import build_val_set
from realciao.images.reading import read_rgb, to_array, to_tensor
from realciao.options.run import Options, load_options
from realciao.training.report import build_page, draw_previews, read_run, refresh_report
from realciao.training.report.chart import MOST_POINTS, Curve, draw, nice_ticks, thin
from realciao.training.report.page import lower_better
from realciao.training.report.previews import EDGE_PX, find_sheets
from realciao.training.run_folder import RunFolder
from realciao.training.trainer import Trainer

VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Checks that tags close in the order in which they opened, and keeps addresses and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return load_options([write_options(tmp_path)])


@pytest.fixture
def run(options: Options) -> RunFolder:
    run = RunFolder(options)
    run.root.mkdir(parents=True)
    return run


def page_of(options: Options, run: RunFolder, rows: list[dict[str, Any]], log: str = "") -> str:
    run.metrics_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run.log_file.write_text(log)
    return build_page(read_run(options, run))


def validations(scores: list[tuple[int, str, float]]) -> list[dict[str, Any]]:
    return [{"step": s, "stage": stage, "val": "pairs", "psnr": v, "psnr_bicubic": 20.0} for s, stage, v in scores]


def test_a_run_leaves_a_report_that_refers_to_nothing_outside_itself(tmp_path: Path) -> None:
    options = load_options([write_options(tmp_path)], ["stages.0.total_iter=2", "stages.1.total_iter=1", "val.every=1"])
    Trainer(options).fit()
    run = RunFolder(options)
    page = run.report_file.read_text()
    reader = Reader(page)
    assert reader.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in reader.addresses)
    assert not re.search(r"https?://|url\(|@import|<script", page)
    assert "step 3 of 3" in reader.text
    (sheet,) = find_sheets(run.previews, 3, most_steps=9)
    assert (sheet.val, sheet.name, sheet.scale) == ("pairs", "photo_0_x2", 2)
    assert list(sheet.steps) == [1, 2, 3]
    assert {path.name for path in run.root.glob("*.html")} == {"report.html"}


def test_every_drawing_is_well_formed_and_within_its_frame(options: Options, run: RunFolder) -> None:
    rows = [{"step": s, "stage": "psnr", "l_g_pix": 1 / s, "lr": 10.0**-s} for s in range(1, 5)]
    page = page_of(options, run, [*rows, *validations([(2, "psnr", 19.0), (4, "psnr", 21.0)])])
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 3
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        for line in root.iter("polyline"):
            for point in line.attrib["points"].split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height


def test_the_scores_are_the_last_and_the_best_of_each_stage(options: Options, run: RunFolder) -> None:
    rows = validations([(1, "psnr", 21.5), (4, "psnr", 21.25), (6, "gan", 20.75), (8, "gan", 20.5)])
    reader = Reader(page_of(options, run, rows))
    table = " ".join(reader.text.split("Scores")[1].split("Options")[0].split())
    for row in ("bicubic 20", "psnr, last 21.25", "psnr, best 21.5", "gan, last 20.5", "gan, best 20.75"):
        assert row in table
    assert "step 8 of 8 (100%) · finished" in reader.text  # though nothing but validations is known
    assert "+0.5 against bicubic" in " ".join(reader.text.split())


def test_what_a_run_says_of_itself_cannot_break_the_page(tmp_path: Path, options: Options, run: RunFolder) -> None:
    log = "2026-01-01 00:00:00,000 WARNING </ul><script>alert(1)</script>\n" * 2 + "2026-01-01 00:00:00,000 INFO fine\n"
    page = page_of(options, run, [{"step": 1, "stage": "psnr", "l_g_<b>": 1.0}], log)
    reader = Reader(page)
    assert "<script" not in page
    assert reader.text.count("<script>alert(1)</script>") == 1
    assert "1 warning " in reader.text
    assert "fine" not in reader.text


def test_a_run_without_anything_yet_has_a_page(options: Options, run: RunFolder) -> None:
    text = Reader(build_page(read_run(options, run))).text
    assert "No validation yet." in text
    assert "No step yet." in text


def test_a_long_run_has_a_small_page(options: Options, run: RunFolder) -> None:
    rows = [{"step": s, "stage": "psnr", "l_g_pix": 0.1, "lr": 1e-4, "images_per_s": 9.0} for s in range(1, 20_001)]
    assert len(page_of(options, run, rows)) < 200_000


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=700))
def test_a_thinned_curve_keeps_its_ends_and_its_mean(values: list[float]) -> None:
    points = list(enumerate(values))
    kept = thin(points)
    assert len(kept) <= MOST_POINTS
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert min(values) - 1e-6 <= min(y for _, y in kept)
    assert max(y for _, y in kept) <= max(values) + 1e-6
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)


@settings(deadline=None, derandomize=True)
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_few_and_within(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    assert len(ticks) <= 6
    steps = np.diff(ticks)
    if len(steps):
        assert np.allclose(steps, steps[0], rtol=1e-6, atol=1e-9)
        assert f"{steps[0]:.6e}"[0] in "125"


def test_values_that_are_not_finite_or_have_no_logarithm_are_left_out() -> None:
    curve = Curve("lr", [(0, 0.0), (1, float("nan")), (2, float("inf")), (3, 1e-4), (4, 1e-5)], "c1")
    root = ElementTree.fromstring(draw([curve], (0, 4), log=True))
    (line,) = root.iter("polyline")
    assert len(line.attrib["points"].split()) == 2
    assert "no values yet" in draw([Curve("x", [(0, float("nan"))], "c1")], (0, 1))


def test_a_preview_is_a_cut_of_the_networks_whole_result(tmp_path: Path) -> None:
    options = tiny_options(tmp_path)
    spec = {k: v for k, v in options["datasets"]["val"][0].items() if k != "name"} | {"gt_size": 200, "scales": [2.5]}
    val_set = build_val_set(spec, seed=0)
    net = build_network(options["network_g"]).eval()
    draw_previews(net, {"pairs": val_set}, tmp_path / "previews", step=7)
    (sheet,) = find_sheets(tmp_path / "previews", 7, most_steps=3)
    item = val_set[0]
    whole = to_array(net.upscale(to_tensor(item["lq"]), item["size"])).clip(0, 1)
    shown, edge = read_rgb(sheet.steps[7]), min(EDGE_PX, *item["size"])
    assert shown.shape == (edge, edge, 3)
    gaps = [
        np.abs(whole[top : top + edge, left : left + edge] - shown).mean()
        for top in range(item["size"][0] - edge + 1)
        for left in range(item["size"][1] - edge + 1)
    ]
    assert min(gaps) < 0.02  # JPEG's own loss


def test_a_report_that_cannot_be_written_stops_nothing(
    options: Options, run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    run.report_file.mkdir()
    refresh_report(options, run, 1, build_network(options.network_g).eval(), {})
    assert "the report could not be renewed" in caplog.text


def test_of_many_steps_the_first_and_the_last_are_shown(tmp_path: Path) -> None:
    place = tmp_path / "pairs" / "a__x2"
    place.mkdir(parents=True)
    for name in ("bicubic", *(f"step_{step}" for step in range(1, 40))):
        (place / f"{name}.jpg").touch()
    (sheet,) = find_sheets(tmp_path, last_step=30, most_steps=5)
    assert len(sheet.steps) == 5
    assert (min(sheet.steps), max(sheet.steps)) == (1, 30)
    assert sheet.gt is None


@pytest.mark.parametrize(
    ("metrics", "lower"),
    [
        (("niqe", "brisque", "piqe", "gmsd", "mad", "nlpd", "ilniqe", "pi", "pieapp", "lpips", "dists"), True),
        (("psnr", "psnr_y", "ssim", "ms_ssim", "fsim", "musiq", "clipiqa+", "no_such_metric"), False),
    ],
)
def test_the_direction_of_a_score_is_that_of_its_metric(metrics: tuple[str, ...], lower: bool) -> None:
    assert {name: lower_better(name) for name in metrics} == dict.fromkeys(metrics, lower)
