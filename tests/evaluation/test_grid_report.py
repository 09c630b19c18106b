"""The files of an evaluation: they agree, the page holds all that it shows, and the paper's tables are what they say."""

import csv
import io
import json
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from tiny_grid import tiny_grid, write_pictures

from realciao.commands.evaluate import main
from realciao.errors import UserError
from realciao.evaluation.grid.cells import make_cells, verdicts
from realciao.evaluation.grid.crops import make_views
from realciao.evaluation.grid.options import load_grid_options
from realciao.evaluation.grid.report import write_grid_report
from realciao.evaluation.grid.results import Results
from realciao.evaluation.grid.runner import Runner
from realciao.images.reading import from_float, read_rgb, write_image

ROOT = Path(__file__).resolve().parents[2]
TABLES = sorted((ROOT / "options" / "paper").glob("*.yml"))


def with_blur(tmp_path: Path, **changes: object) -> Results:
    """Bicubic beside a folder of its own results with a grey veil over them."""
    first = tiny_grid(tmp_path, scales=[2]).run()
    assert first is not None
    for (_, item), path in first.files.items():
        write_image(tmp_path / "veiled" / f"{item.name}.png", read_rgb(path) * np.float32(0.8) + np.float32(0.1))
    results = tiny_grid(tmp_path, **{"scales": [2], "methods": ["bicubic", str(tmp_path / "veiled")], **changes}).run()
    assert results is not None
    return results


class Page(HTMLParser):
    """Notes what a page refers to, and checks that its elements close in order."""

    VOID = frozenset({"meta", "img", "br", "input", "line", "circle"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_files_agree_with_each_other(tmp_path: Path):
    results = with_blur(tmp_path)
    paths = {path.name: path for path in write_grid_report(results, [])}
    rows = list(csv.DictReader(io.StringIO(paths["metrics.csv"].read_text(encoding="utf-8"))))
    assert len(rows) == 6
    saved = json.loads(paths["metrics.json"].read_text(encoding="utf-8"))
    for cell in saved["cells"]:
        values = [float(row[cell["metric"]]) for row in rows if row["method"] == cell["method"]]
        assert cell["interval"]["mean"] == cell["summary"]["mean"] == pytest.approx(np.mean(values), abs=1e-5)
        for name in ("metrics.md", "metrics.tex", "report.html"):
            assert f"{np.mean(values):.3f}" in paths[name].read_text(encoding="utf-8")
    assert {(d["n"], len(d["checksum"])) for d in saved["data"]} == {(3, 16)}
    assert saved["failures"] == saved["unavailable"] == []
    assert "crop_border=2" in saved["implementation"]["made x2"]["psnr"]


def test_the_difference_from_the_baseline_is_that_of_the_images(tmp_path: Path):
    results = with_blur(tmp_path)
    cell = next(c for c in make_cells(results) if c.method == "veiled" and c.metric == "psnr")
    ours, base = ([row.scores["psnr"] for row in results.rows[name, "made", 2]] for name in ("veiled", "bicubic"))
    assert cell.difference is not None
    assert cell.difference.interval.mean == pytest.approx(np.mean(np.subtract(ours, base)))
    assert cell.difference.verdict == "first"
    sentence = "bicubic is better than veiled by psnr on made x2: veiled - bicubic = -"
    assert any(line.startswith(sentence) for line in verdicts(results, make_cells(results)))


def test_the_page_is_whole_in_itself_and_escapes_what_names_hold(tmp_path: Path):
    results = with_blur(tmp_path, title="a <b> & $c")
    text = next(p for p in write_grid_report(results, []) if p.suffix == ".html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert all(link.startswith(("#s", "data:image/")) for link in page.links)
    assert "a &lt;b&gt; &amp; $c" in text
    assert "http" not in text.replace("http-equiv", "")


def test_who_is_better_on_my_photos_is_what_the_last_line_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    photos = write_pictures(tmp_path / "photos", {name: (12, 15) for name in "wxyz"})
    for path in photos.iterdir():
        small = read_rgb(path)
        write_image(tmp_path / "A" / path.name, small.repeat(2, axis=0).repeat(2, axis=1))
        write_image(tmp_path / "B" / path.name, 1 - small.repeat(2, axis=0).repeat(2, axis=1))
    options = [f"methods=[{tmp_path / 'A'},{tmp_path / 'B'}]", f"data.0.dataroot_lq={photos}", f"output={tmp_path}"]
    options += ["scales=[2]", "metrics=[lr_consistency]"]
    with pytest.raises(SystemExit) as ended:
        main(["-opt", str(ROOT / "options" / "eval_photos.yml"), "--set", *options])
    assert ended.value.code == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("A is better than B by lr_consistency on photos x2: B - A = -")
    assert last.endswith("B is better on 0 of 4 images")


def test_crops_are_where_the_methods_differ_most_or_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("realciao.evaluation.grid.crops.EDGE_PX", (8, 8))
    crop = {"data": "made", "image": "a", "scale": 2, "box": [2, 4, 10, 14]}
    results = with_blur(tmp_path, crops=[crop], auto_crops=1)
    by_hand, auto = make_views(results)
    assert [label for label, _ in by_hand.panels] == ["input", "bicubic", "veiled", "ground truth"]
    assert [pixels.shape[:2] for _, pixels in by_hand.panels] == [(8, 10)] * 4
    np.testing.assert_array_equal(
        by_hand.panels[0][1][::2, ::2], from_float(results.sources[0].items[0].read()[0], np.uint8)[1:5, 2:7]
    )
    veiled = read_rgb(tmp_path / "veiled" / "a.png")[2:10, 4:14]
    np.testing.assert_allclose(by_hand.panels[2][1] / 255, veiled, atol=1 / 255)
    gaps = {}
    for (method, item), path in results.files.items():
        if method == "bicubic":
            greys = [read_rgb(p).mean(axis=2) for p in (path, results.files["veiled", item])]
            gap = np.abs(uniform_filter(greys[0], 9) - greys[0] - uniform_filter(greys[1], 9) + greys[1])
            for top in range(gap.shape[0] - 7):
                for left in range(gap.shape[1] - 7):
                    gaps[item.name, top, left] = gap[top : top + 8, left : left + 8].mean()
    assert gaps[auto.item.name, auto.box[0], auto.box[1]] == pytest.approx(max(gaps.values()), abs=1e-6)
    with pytest.raises(UserError, match=r"crops\.0\.box"):
        make_views(with_blur(tmp_path, crops=[crop | {"box": [0, 0, 99, 99]}]))
    with pytest.raises(UserError, match="no image 'q'"):
        make_views(with_blur(tmp_path, crops=[crop | {"image": "q"}]))


def test_the_papers_number_stands_beside_ours_with_the_difference(tmp_path: Path):
    known = [{"method": "bicubic", "data": "made", "scale": 2, "metric": "psnr", "value": 20.5}]
    results = with_blur(tmp_path, paper=known)
    paths = {
        path.name: path.read_text(encoding="utf-8") for path in write_grid_report(results, []) if path.suffix != ".png"
    }
    mean = next(c.interval.mean for c in make_cells(results) if c.paper is not None and c.interval)
    assert f"(paper 20.5, {mean - 20.5:+.3f})" in paths["metrics.md"]
    assert f"paper 20.5, {mean - 20.5:+.3f}" in paths["report.html"]
    assert "(20.5)" in paths["metrics.tex"]


def test_latex_escapes_and_every_row_has_all_columns(tmp_path: Path):
    results = with_blur(tmp_path)
    (text,) = (p.read_text() for p in write_grid_report(results, []) if p.suffix == ".tex")
    assert r"psnr\_y" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {row.count(" & ") for row in rows} == {2}


@pytest.mark.parametrize("path", [*TABLES, *sorted((ROOT / "options").glob("eval_*.yml"))], ids=lambda path: path.stem)
def test_an_option_file_that_comes_with_the_project_is_sound(path: Path):
    options, tree = load_grid_options(path, [f"dataroot={path.parent / 'nowhere'}"])
    runner = Runner(options, tree)
    names = {method.name for method in runner.results.methods}
    places = {(d.name, s) for d in options.data for s in d.scales or options.scales}
    for known in options.paper:
        assert known.method in names
        assert (known.data, known.scale) in places or known.data is None


def test_the_examples_of_the_docs_are_sound(tmp_path: Path):
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    (tmp_path / "mine.yml").write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    options, tree = load_grid_options(tmp_path / "mine.yml", [f"dataroot={tmp_path}"])
    assert [m.name for m in Runner(options, tree).results.methods] == [
        *("bicubic", "ours", "realesrgan-x4plus", "BSRGAN", "theirs"),
    ]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = next(line for line in readme.splitlines() if "eval_photos.yml" in line)
    settings = command.split("--set ")[1].replace("PHOTOS", str(tmp_path)).split()
    options, _ = load_grid_options(ROOT / command.split()[3], settings)
    assert (options.methods, options.data[0].dataroot_lq) == (("A", "B"), str(tmp_path))


def test_there_are_nine_tables():
    assert [path.stem for path in TABLES] == [f"table{n}" for n in range(1, 10)]


def test_a_table_without_data_or_weights_says_so_in_every_cell_and_that_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = ROOT / "options" / "paper" / "table1.yml"
    with pytest.raises(SystemExit) as stop:
        main(["-opt", str(file), "--set", f"output={tmp_path}", f"dataroot={tmp_path}"])
    assert stop.value.code == 0
    saved = json.loads((tmp_path / "table1" / "metrics.json").read_text())
    assert len(saved["cells"]) == 8 * 17  # scales, and bicubic, three backbones by five decoders, the shipped weights
    assert all(cell["reason"] for cell in saved["cells"])
    assert {c["scale"]: c["paper"] for c in saved["cells"] if c["method"] == "bicubic"}[30] == 19.59
    assert "left out" in capsys.readouterr().err


def test_dped_is_read_in_its_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # away from the weights that a quickstart may have left
    write_pictures(tmp_path / "DPEDiphone-crop-te-x", {"00000": (16, 18), "00061": (17, 16)})
    file = ROOT / "options" / "eval_dped.yml"
    settings = [f"output={tmp_path}", f"dataroot={tmp_path}", "metrics=[lr_consistency]"]
    with pytest.raises(SystemExit) as stop:
        main(["-opt", str(file), "--set", *settings])
    assert stop.value.code == 0
    rows = list(csv.DictReader((tmp_path / "eval_dped" / "metrics.csv").open()))
    for method in ("bicubic", "shipped (real)"):
        assert [(r["data"], r["scale"], r["image"], r["width"]) for r in rows if r["method"] == method] == [
            ("DPED", "8", "00000", "144"),
            ("DPED", "8", "00061", "128"),
            ("DPED", "16", "00000", "288"),
            ("DPED", "16", "00061", "256"),
        ]
    assert len(rows) == 8  # the quickstart's weights are not there
    assert all(math.isfinite(float(row["lr_consistency"])) for row in rows)


def test_what_failed_is_on_standard_error_and_in_the_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tiny_grid(tmp_path)
    (tmp_path / "gt" / "b.png").write_bytes(b"no image")
    with pytest.raises(SystemExit) as stop:
        main(["-opt", str(tmp_path / "options.yml"), "--set", "scales=[2]"])
    assert stop.value.code == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[0].startswith("not scored: made x2: b: ")
    assert told.out.splitlines()[-1].startswith("2 results scored in ")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-opt", "nowhere.yml"], "no such file"),
        (["-opt", "a.yml", "--sr", "b"], "-opt goes alone"),
        (["--set", "a=b", "--sr", "b", "--metrics", "psnr"], "--set changes an option file"),
        ([], "give -opt FILE, or --sr FOLDER"),
    ],
)
def test_arguments_that_do_not_go_together_are_one_line(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert problem in capsys.readouterr().err
