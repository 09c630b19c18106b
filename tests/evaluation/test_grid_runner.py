"""Methods x data sets x scales: protocols, resuming, sharing, and what goes wrong."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio
from tiny_grid import tiny_grid, write_pictures

from realciao.errors import OptionError
from realciao.evaluation.grid.cells import make_cells
from realciao.evaluation.grid.methods.bicubic import Bicubic
from realciao.evaluation.grid.report import to_csv, to_json, to_markdown
from realciao.evaluation.grid.results import Results
from realciao.evaluation.grid.runner import Runner
from realciao.images.matlab_resize import resize_levels

SET5 = Path(os.environ.get("REALCIAO_SHARED", "$REALCIAO_SHARED")) / "data" / "test" / "Set5"


def done(runner: Runner) -> Results:
    results = runner.run()
    assert results is not None
    return results


def levels(path: Path) -> np.ndarray:
    return cv2.imread(str(path))[..., ::-1].copy()


def everything(results: Results) -> tuple[str, str, str]:
    cells = make_cells(results)
    return to_csv(results), repr(to_json(results, cells, [])), to_markdown(results, cells, [])


def test_lr_images_are_made_cropped_and_compared_by_the_stated_protocol(tmp_path: Path):
    results = done(tiny_grid(tmp_path))
    assert results.complete
    for scale in (2, 2.5):
        for row in results.rows["bicubic", "made", scale]:
            gt = levels(tmp_path / "gt" / f"{row.image}.png")
            small = tuple(int(n / scale) for n in gt.shape[:2])
            large = tuple(round(n * scale) for n in small)
            gt = gt[: large[0], : large[1]]
            sr = resize_levels(resize_levels(gt, small), large, "final")  # type: ignore[arg-type]
            border = 2 if scale == 2 else 3  # the scale, rounded up
            inner = (slice(border, -border), slice(border, -border))
            assert row.scores["psnr"] == pytest.approx(peak_signal_noise_ratio(gt[inner], sr[inner]), abs=1e-6)
            assert (row.height, row.width) == large


def test_a_recipe_makes_of_an_image_what_its_name_the_scale_and_the_seed_say(tmp_path: Path):
    def made(seed: int, scale: float, **data: object) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
        spec = {"name": "worn", "dataroot_gt": str(tmp_path / "gt"), "pipeline": "bsrgan", "seed": seed, **data}
        items = tiny_grid(tmp_path, data=[spec], scales=[scale]).results.sources[0].items
        return {item.name: (*item.read(), item.digest) for item in items}  # type: ignore[misc]

    one = made(0, 3)
    assert len(one) > 1
    for lq, gt, _ in one.values():
        assert gt.shape[:2] == tuple(3 * n for n in lq.shape[:2])  # edges of which 3 is no divisor too
    assert len({digest for _, _, digest in one.values()}) == len(one)
    first = next(iter(one))
    assert np.array_equal(one[first][0], made(0, 3, num_images=1)[first][0])  # whatever other images there are
    assert one[first][2] == made(0, 3, num_images=1)[first][2]
    for other in (made(1, 3), made(0, 3, pipeline="realesrgan")):
        assert not np.array_equal(one[first][0], other[first][0])
        assert one[first][2] != other[first][2]
    assert one[first][0].shape == made(0, 3, pipeline="bicubic")[first][0].shape
    plain = made(0, 3, pipeline="bicubic")[first][0]
    by_hand = made(0, 3, pipeline=None, kernel="torch")[first][0]
    assert np.abs(plain - by_hand).max() <= 1 / 255 + 1e-6


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"pipeline": "bsrgam"}, r"data\.0\.pipeline.*bsrgam.*bsrgan"),
        ({"pipeline": "bsrgan", "dataroot_lq": "lq"}, r"data\.0\.pipeline.*leave one out"),
        ({"seed": -1}, r"data\.0\.seed"),
        ({"pipeline": "bsrgan", "scales": [2, 0.5]}, r"data\.0\.pipeline.*1 or more"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, data: dict[str, object], problem: str):
    with pytest.raises(OptionError, match=problem):
        tiny_grid(tmp_path, data=[{"name": "worn", "dataroot_gt": str(tmp_path / "gt"), **data}])


@pytest.mark.skipif(not SET5.is_dir(), reason=f"Set5 is not in {SET5}")
def test_bicubic_on_set5_has_the_known_table(tmp_path: Path):
    known = {2: (33.682, 31.800), 3: (30.405, 28.626), 4: (28.431, 26.696), 6: (25.930, 24.246), 8: (24.398, 22.740)}
    made = {"name": "Set5", "dataroot_gt": str(SET5 / "HR")}
    released = {
        "name": "released",
        "dataroot_gt": str(SET5 / "HR"),
        "dataroot_lq": str(SET5 / "LR_bicubic" / "X{scale}"),
        "filename_tmpl_lq": "{}x{scale}",
        "scales": [2, 3, 4],
    }
    results = done(tiny_grid(tmp_path, data=[made, released], scales=list(known), metrics=["psnr_y", "psnr"]))
    means = {(c.data, c.scale, c.metric): c.interval.mean for c in make_cells(results) if c.interval}
    for scale, (y, rgb) in known.items():
        assert means["Set5", scale, "psnr_y"] == pytest.approx(y, abs=0.01)
        assert means["Set5", scale, "psnr"] == pytest.approx(rgb, abs=0.01)
    for scale in (2, 3, 4):  # what is made is what was released
        assert means["released", scale, "psnr_y"] == means["Set5", scale, "psnr_y"]


@pytest.mark.parametrize(("border", "expected"), [("scale", 3), ("div2k", 9), (5, 5)])
def test_the_border_follows_the_scale_or_div2ks_rule(tmp_path: Path, border: object, expected: int):
    data = [{"name": "made", "dataroot_gt": str(tmp_path / "gt"), "border": border}]
    runner = tiny_grid(tmp_path, data=data, scales=[2.5])
    assert {item.border for item in runner.results.sources[0].items} == {expected}
    assert f"crop_border={expected}" in runner.results.metrics.made(expected)[0].implementation


@pytest.mark.parametrize("stop_after", [0, 1, 4])
def test_interrupted_anywhere_and_run_again_the_table_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
):
    whole = everything(done(tiny_grid(tmp_path / "whole")))
    upscale, calls = Bicubic.upscale, []

    def counted(self: Bicubic, *args: Any) -> Any:
        if len(calls) == stop_after:
            calls.append("stopped")
            raise KeyboardInterrupt
        calls.append("done")
        return upscale(self, *args)

    monkeypatch.setattr(Bicubic, "upscale", counted)
    with pytest.raises(KeyboardInterrupt):
        tiny_grid(tmp_path / "stopped").run()
    again = everything(done(tiny_grid(tmp_path / "stopped")))
    assert again == whole
    assert calls.count("done") == 6  # nothing is done twice


def test_what_is_on_record_is_not_computed_again_until_an_image_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = done(tiny_grid(tmp_path))
    done_again: list[str] = []
    upscale = Bicubic.upscale

    def noted(self: Bicubic, item: Any, *args: Any) -> Any:
        done_again.append(item.name)
        return upscale(self, item, *args)

    monkeypatch.setattr(Bicubic, "upscale", noted)
    more = done(tiny_grid(tmp_path, metrics=["psnr", "psnr_y", "ssim"]))
    assert done_again == []  # a new metric is measured on the images that are there
    assert {"psnr", "psnr_y", "ssim"} == more.rows["bicubic", "made", 2][0].scores.keys()
    runner = tiny_grid(tmp_path)
    write_pictures(tmp_path / "gt", {"a": (24, 32)})
    changed = done(runner)
    assert done_again == ["a", "a"]
    assert [s.checksum for s in changed.sources] != [s.checksum for s in first.sources]


def test_a_result_that_was_tampered_with_is_made_again(tmp_path: Path):
    first = everything(done(tiny_grid(tmp_path)))
    for record in (tmp_path / "out" / "tiny" / "cache").rglob("*.json"):
        record.write_text(record.read_text().replace('"scores"', '"others"'))
    for image in (tmp_path / "out" / "tiny" / "images").rglob("a.png"):
        image.write_bytes((tmp_path / "gt" / "b.png").read_bytes())
    assert everything(done(tiny_grid(tmp_path))) == first


def test_results_that_were_thrown_away_are_made_again_for_those_who_look_at_them(tmp_path: Path):
    first = done(tiny_grid(tmp_path))
    before = {path: path.read_bytes() for path in first.files.values()}
    for path, content in before.items():
        path.unlink() if path.stem == "a" else path.write_bytes(content[:50])
    assert everything(done(tiny_grid(tmp_path))) == everything(first)
    assert {path: path.read_bytes() for path in before} == before


def test_data_sets_may_share_images(tmp_path: Path):
    data = [{"name": name, "dataroot_gt": str(tmp_path / "gt")} for name in ("one", "two")]
    results = done(tiny_grid(tmp_path, data=data, scales=[2]))
    assert results.complete
    one, two = ([row.scores for row in results.rows["bicubic", name, 2]] for name in ("one", "two"))
    assert one == two
    assert {path.is_file() for path in results.files.values()} == {True}


def test_every_method_that_lacks_a_result_is_named(tmp_path: Path):
    for name in ("one", "two"):
        write_pictures(tmp_path / name, {"a": (24, 30)})
    methods = [str(tmp_path / "one"), str(tmp_path / "two"), "bicubic"]
    results = done(tiny_grid(tmp_path, methods=methods, scales=[2]))
    lacking = {f"made x2 {method}: {name}" for method in ("one", "two") for name in ("b", "sub/c")}
    assert {failure.image for failure in results.failures} == lacking
    assert len(results.rows["bicubic", "made", 2]) == 3


def test_several_processes_share_the_work_and_the_first_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    alone = everything(done(tiny_grid(tmp_path / "alone")))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    second = tiny_grid(tmp_path / "shared")
    item = second.results.sources[0].items[0]
    key = second._key(second.results.methods[0], item)
    held = second.store.lock(key, wait=False)  # the first process has this one in hand
    assert held is not None
    with held:
        assert second.run() is None
        assert second.store.read(key) == {}
    assert len(list((tmp_path / "shared" / "out").rglob("*.png"))) == 5
    monkeypatch.setenv("RANK", "0")
    assert everything(done(tiny_grid(tmp_path / "shared"))) == alone


def test_what_cannot_be_scored_is_named_and_counted_and_the_rest_goes_on(tmp_path: Path):
    lr = write_pictures(tmp_path / "lr", {"a": (12, 15), "b": (12, 15), "sub/c": (8, 8), "lonely": (9, 9)})
    write_pictures(tmp_path / "gt", {"forgotten": (10, 10)})
    (lr / "b.png").write_bytes((lr / "b.png").read_bytes()[:90])
    (tmp_path / "empty").mkdir()
    data = [
        {"name": "pairs", "dataroot_gt": str(tmp_path / "gt"), "dataroot_lq": str(lr)},
        {"name": "void", "dataroot_lq": str(tmp_path / "empty")},
        {"name": "nowhere", "dataroot_gt": "nowhere"},
        {"name": "allowed", "dataroot_gt": "nowhere", "optional": True},
    ]
    results = done(tiny_grid(tmp_path, data=data, scales=[2]))
    assert [row.image for row in results.rows["bicubic", "pairs", 2]] == ["a"]
    problems = {failure.image: failure.problem for failure in results.failures}
    assert problems.keys() == {f"pairs x2: {name}" for name in ("b", "sub/c", "lonely", "forgotten")}
    assert "b.png" in problems["pairs x2: b"]
    assert "its LR image is 8x8, which at x2 is 16x16, and its ground truth 27x33" in problems["pairs x2: sub/c"]
    assert problems["pairs x2: lonely"] == "has no ground truth"
    assert problems["pairs x2: forgotten"] == "has no LR image"
    missing = {what: (problem, allowed) for what, problem, allowed in results.unavailable}
    assert "holds no image" in missing["void x2"][0]
    assert missing["nowhere x2"] == ("no data: nowhere is no folder", False)
    assert missing["allowed x2"] == ("no data: nowhere is no folder", True)
    assert not results.complete


@pytest.mark.parametrize("kept", [0, 90])
def test_a_result_that_is_missing_or_broken_at_one_scale_costs_the_other_its_consistency_alone(
    tmp_path: Path, kept: int
):
    photos = write_pictures(tmp_path / "photos", {"x": (9, 11)})
    for scale in (2, 3):
        write_pictures(tmp_path / f"x{scale}", {"x": (9 * scale, 11 * scale)})
    large = tmp_path / "x3" / "x.png"
    head = large.read_bytes()[:kept]
    if head:
        large.write_bytes(head)
    else:
        large.rename(tmp_path / "x3" / "other.png")
    results = done(
        tiny_grid(
            tmp_path,
            methods=[{"name": "made", "type": "Folder", "path": str(tmp_path / "x{scale}")}],
            data=[{"name": "photos", "dataroot_lq": str(photos)}],
            scales=[2, 3],
            metrics=["lr_consistency", "scale_consistency"],
        )
    )
    (row,) = results.rows["made", "photos", 2]
    assert np.isfinite(row.scores["lr_consistency"])
    assert np.isnan(row.scores["scale_consistency"])
    assert [failure.image for failure in results.failures] == ["photos x2 made: x", "photos x3 made: x"]
    assert results.failures[0].problem.startswith("scale_consistency: ")
    assert "x3" in results.failures[0].problem


def test_a_missing_metric_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("realciao.metrics.pyiqa_loading.online", lambda: False)
    results = done(tiny_grid(tmp_path, metrics=["lpips", "psnr"], scales=[2]))
    cells = {cell.metric: cell for cell in make_cells(results)}
    assert cells["psnr"].interval
    assert cells["lpips"].interval is None
    assert "alexnet-owt-7be5be79.pth is not in" in cells["lpips"].reason
    assert not results.complete


def test_wrong_arguments_of_a_metric_are_told_before_anything_is_done(tmp_path: Path):
    with pytest.raises(OptionError, match=r"metrics\.0\.border: unknown key; did you mean 'crop_border'"):
        tiny_grid(tmp_path, metrics=[{"type": "PSNR", "border": 4}]).run()
    with pytest.raises(OptionError, match="iqa_params: no folder nowhere"):
        tiny_grid(tmp_path, metrics=["psnr", "niqe"], iqa_params="nowhere").run()
    assert not (tmp_path / "out").exists()


def test_photos_without_ground_truth_are_only_scored_by_what_needs_none(tmp_path: Path):
    photos = write_pictures(tmp_path / "photos", {"x": (9, 11), "y": (8, 8), "z": (20, 20)})
    data = [{"name": "photos", "dataroot_lq": str(photos), "smallest": 2}]
    metrics = ["psnr", "lr_consistency", "scale_consistency"]
    results = done(tiny_grid(tmp_path, data=data, scales=[2, 3], metrics=metrics))
    assert [row.image for row in results.rows["bicubic", "photos", 3]] == ["x", "y"]
    assert results.rows["bicubic", "photos", 2][0].scores.keys() == {"lr_consistency", "scale_consistency"}
    assert results.rows["bicubic", "photos", 3][0].scores.keys() == {"lr_consistency"}
    sr = {s: levels(tmp_path / "out" / "tiny" / "images" / "photos" / f"x{s}" / "bicubic" / "x.png") for s in (2, 3)}
    judge = peak_signal_noise_ratio(sr[2], resize_levels(sr[3], sr[2].shape[:2], "final"))
    assert results.rows["bicubic", "photos", 2][0].scores["scale_consistency"] == pytest.approx(judge)
    reasons = {(cell.scale, cell.metric): cell.reason for cell in make_cells(results) if cell.reason}
    assert reasons[2, "psnr"] == "no ground truth"
    assert reasons[3, "scale_consistency"] == "no larger scale of the same LR image"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"methods": [{"type": "Bicubik"}]},
            r"options\.yml:\d+: methods\.0\.type: 'Bicubik' .* did you mean 'Bicubic'",
        ),
        ({"methods": ["bicubic", "bicubic"]}, r"methods\.1.*'bicubic' is taken by item 0"),
        ({"baseline": "x"}, r"options\.yml:1: baseline: 'x' is no method; they are bicubic"),
        ({"metrics": ["psnrr"]}, r"metrics\.0: no metric 'psnrr'; did you mean 'psnr'"),
        ({"data": [{"name": "a"}]}, r"data\.0: needs dataroot_gt"),
        (
            {"data": [{"name": "a", "dataroot_gt": "b", "kernal": "pillow"}]},
            r"kernal: unknown key; did you mean 'kernel'",
        ),
        ({"scales": [0]}, r"scales\.0: expected"),
        ({"scales": [2, 4, 2.0]}, r"scales\.2: 2 is named twice"),
        ({"data": [{"name": "a/b", "dataroot_gt": "b"}]}, r"data\.0\.name: expected letters, digits.*, got 'a/b'"),
        ({"sclaes": [2]}, r"sclaes: unknown key; did you mean 'scales'"),
    ],
)
def test_a_wrong_option_is_one_line_with_its_place(tmp_path: Path, changes: dict[str, Any], problem: str):
    with pytest.raises(OptionError, match=problem):
        tiny_grid(tmp_path, **changes)
