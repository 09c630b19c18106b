"""Scoring folders: pairs, means, failures, and the three files."""

import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from realciao.errors import UserError
from realciao.evaluation.folder import Evaluation, Failure, Row, evaluate, score
from realciao.evaluation.folder_report import to_json, write_report
from realciao.images.reading import write_image
from realciao.metrics import build_metric
from realciao.metrics.metric import Metric

SET5 = Path(os.environ.get("REALCIAO_SHARED", "$REALCIAO_SHARED")) / "data" / "test" / "Set5" / "HR"


class Sides(Metric):
    """A metric that is sound from 10 px."""

    lower_better = True
    needs_gt = False
    implementation = "the height"
    smallest_sound_px = 10

    def measure(self, pred: np.ndarray, gt: np.ndarray | None) -> float:
        return pred.shape[0]


def save(path: Path, seed: int, size: tuple[int, int] = (20, 24)) -> np.ndarray:
    """Writes an image of noise and returns it as uint8."""
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    write_image(path, image)
    return image


def strict_json(path: Path) -> dict:
    """Parses JSON without Python's extensions (NaN, Infinity)."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_a_folder_is_scored_pair_by_pair_whatever_its_tree_and_extensions(tmp_path: Path):
    names = {"a.png": "a.bmp", "sub/a.png": "sub/a.png", "sub/b.c.png": "sub/b.c.tif"}
    judge = {}
    for i, (sr, gt) in enumerate(names.items()):
        judge[sr] = peak_signal_noise_ratio(save(tmp_path / "gt" / gt, i), save(tmp_path / "sr" / sr, i + 10))
    seen = []
    result = evaluate(tmp_path / "sr", tmp_path / "gt", ["psnr", "ssim_y"], progress=lambda *step: seen.append(step))
    assert result.failures == []
    assert {row.image: row.scores["psnr"] for row in result.rows} == pytest.approx(judge)
    assert result.summary(result.metrics[0]).mean == pytest.approx(np.mean(list(judge.values())))
    assert seen == [(1, 3, "a.png"), (2, 3, "sub/a.png"), (3, 3, "sub/b.c.png")]


def test_of_two_ground_truths_the_one_of_the_same_extension_is_taken_and_else_none(tmp_path: Path):
    same = save(tmp_path / "gt" / "a.png", 1)
    save(tmp_path / "gt" / "a.bmp", 2)
    write_image(tmp_path / "sr" / "a.png", same)
    write_image(tmp_path / "sr" / "a.tif", same)
    result = evaluate(tmp_path / "sr", tmp_path / "gt", ["ssim"])
    assert [row.scores for row in result.rows] == [{"ssim": 1.0}, {}]
    assert [failure.image for failure in result.failures] == ["a.tif"]
    assert "several ground truths" in result.failures[0].problem


def test_what_cannot_be_scored_is_named_and_the_rest_goes_on(tmp_path: Path):
    sr, gt = tmp_path / "sr", tmp_path / "gt"
    for i, name in enumerate(["good.png", "lonely.png", "small.png", "textfile.png", "badgt.png"]):
        save(sr / name, i)
        save(gt / name, i + 10)
    (sr / "textfile.png").write_text("no image")
    (gt / "badgt.png").write_bytes(b"")
    (gt / "lonely.png").rename(gt / "forgotten.png")
    save(gt / "small.png", 3, (20, 23))
    result = evaluate(sr, gt, ["psnr"])
    assert [row.image for row in result.rows if row.scores] == ["good.png"]
    problems = {failure.image: failure.problem for failure in result.failures}
    assert set(problems) == {"lonely.png", "small.png", "textfile.png", "badgt.png", "forgotten.png"}
    assert "no ground truth" in problems["lonely.png"]
    assert "24x20 and its ground truth is 23x20" in problems["small.png"]
    assert "no PNG" in problems["textfile.png"]
    assert "empty" in problems["badgt.png"]
    assert "no result" in problems["forgotten.png"]


def test_an_image_without_a_number_is_a_failure_that_says_why(tmp_path: Path):
    save(tmp_path / "sr" / "tiny.png", 0, (8, 30))
    save(tmp_path / "gt" / "tiny.png", 1, (8, 30))
    result = evaluate(tmp_path / "sr", tmp_path / "gt", ["psnr", "ssim"])
    assert math.isfinite(result.rows[0].scores["psnr"])
    assert result.failures == [Failure("tiny.png", "ssim gives no number (30x8: smaller than 11 px)")]


def test_valid_means_are_over_images_on_which_the_metric_is_sound(tmp_path: Path):
    heights = [4, 10, 30]
    rows = [Row(f"{h}.png", h, 50, {"sides": float(h)}) for h in heights] + [
        Row("none.png", 50, 50, {"sides": math.nan})
    ]
    summary = Evaluation(tmp_path, None, [Sides()], rows).summary(Sides())
    assert (summary.mean, summary.n) == (sum(heights) / 3, 3)
    assert (summary.mean_valid, summary.n_valid) == (20, 2)
    assert summary.unsound == ["4.png"]


def test_the_files_agree_with_each_other(tmp_path: Path):
    for i in range(3):
        save(tmp_path / "gt" / f"{i}.png", i)
        save(tmp_path / "sr" / f"{i}.png", i + 10)
    result = evaluate(tmp_path / "sr", tmp_path / "gt", ["psnr", "ssim"], crop_border=2)
    paths = write_report(result, tmp_path / "deep" / "out")
    assert [path.name for path in paths] == ["metrics.csv", "metrics.json", "metrics.md"]
    assert sorted(paths) == sorted((tmp_path / "deep" / "out").iterdir())  # no temporary file is left
    rows = list(csv.DictReader(paths[0].open(encoding="utf-8")))
    saved = strict_json(paths[1])
    assert list(rows[0]) == ["image", "psnr", "ssim"]
    assert [row["image"] for row in rows] == ["0.png", "1.png", "2.png"]
    for name in ("psnr", "ssim"):
        mean = np.mean([float(row[name]) for row in rows])
        assert saved["mean"][name] == saved["mean_valid"][name] == pytest.approx(mean, abs=1e-6)
        assert saved["n"][name] == saved["n_valid"][name] == 3
        assert "crop_border=2" in saved["implementation"][name]
        assert f"{saved['mean'][name]:.4f}" in paths[2].read_text(encoding="utf-8")
    assert saved["failures"] == []


def test_equal_images_are_infinite_in_the_csv_listed_in_the_json_and_in_no_mean(tmp_path: Path):
    save(tmp_path / "a.png", 1)
    result = evaluate(tmp_path, tmp_path, ["psnr", "ssim"])
    paths = write_report(result, tmp_path / "out")
    assert paths[0].read_text() == "image,psnr,ssim\na.png,inf,1.000000\n"
    saved = strict_json(paths[1])
    assert saved["mean"] == {"psnr": None, "ssim": 1.0}
    assert saved["n"] == {"psnr": 0, "ssim": 1}
    assert saved["infinite"] == {"psnr": ["a.png"], "ssim": []}
    assert saved["failures"] == []


def test_arrays_score_as_the_files_written_from_them(tmp_path: Path):
    rng = np.random.default_rng(0)
    pred, gt = (rng.uniform(-0.1, 1.1, (30, 30, 3)).astype(np.float32) for _ in range(2))
    write_image(tmp_path / "sr" / "a.png", pred)
    write_image(tmp_path / "gt" / "a.png", gt)
    result = evaluate(tmp_path / "sr", tmp_path / "gt", ["psnr", "psnr_y", "ssim", "ssim_y"])
    assert score(pred, gt, result.metrics) == result.rows[0].scores


def test_without_a_ground_truth_only_the_metrics_that_need_none_score():
    image = np.zeros((30, 20, 3), np.float32)
    assert score(image, None, [build_metric("psnr"), Sides()]) == {"sides": 30.0}


def test_names_that_markdown_would_break_are_escaped_and_lower_is_better_is_marked(tmp_path: Path):
    result = Evaluation(tmp_path, None, [Sides()], [Row("a|b.png", 20, 20, {"sides": 20.0})])
    text = write_report(result, tmp_path)[2].read_text(encoding="utf-8")
    assert "a\\|b.png" in text
    assert "sides ↓" in text
    assert to_json(result)["lower_better"] == {"sides": True}


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        (["ssim", "psnrr"], r"metrics: no metric 'psnrr'; did you mean 'psnr'\?"),
        (["psnr", "niqe"], r"psnr compare with a ground truth"),
        (["sides", "piqe", "piqe"], "no metric 'sides'"),
    ],
)
def test_a_wrong_metric_is_refused_before_anything_is_loaded(tmp_path: Path, metrics: list[str], problem: str):
    save(tmp_path / "a.png", 1)
    with pytest.raises(UserError, match=problem):
        evaluate(tmp_path, None, metrics)


def test_a_metric_named_twice_is_refused(tmp_path: Path):
    save(tmp_path / "a.png", 1)
    with pytest.raises(UserError, match="named twice"):
        evaluate(tmp_path, tmp_path, ["psnr", {"type": "PSNR", "crop_border": 4}])


@pytest.mark.skipif(not SET5.is_dir(), reason=f"Set5 is not in {SET5}")
def test_bicubic_on_set5_has_the_psnr_that_papers_report(tmp_path: Path):
    for path in SET5.iterdir():
        image = Image.open(path).convert("RGB")
        width, height = image.width // 4 * 4, image.height // 4 * 4
        gt = image.crop((0, 0, width, height))
        small = gt.resize((width // 4, height // 4), Image.Resampling.BICUBIC)
        for folder, kept in (("gt", gt), ("sr", small.resize((width, height), Image.Resampling.BICUBIC))):
            (tmp_path / folder).mkdir(exist_ok=True)
            kept.save(tmp_path / folder / path.name)
    result = evaluate(tmp_path / "sr", tmp_path / "gt", ["psnr_y", "psnr", "ssim_y", "ssim"], crop_border=4)
    means = to_json(result)["mean"]
    assert means["psnr_y"] == pytest.approx(28.431, abs=0.03)
    assert means["psnr"] == pytest.approx(26.696, abs=0.03)
    assert means["ssim_y"] == pytest.approx(0.8113, abs=0.002)
    assert means["ssim"] == pytest.approx(0.7734, abs=0.002)
