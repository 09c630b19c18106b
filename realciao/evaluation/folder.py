"""Scores images: arrays by `score`, a folder of results, with or without ground truth, by `evaluate`."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from realciao.errors import UserError
from realciao.images.paths import list_images
from realciao.images.reading import ImageError, read_rgb, size_text
from realciao.metrics import build_metric, find_metric
from realciao.metrics.metric import Metric, MetricUnavailable

Progress = Callable[[int, int, str], None]
"""Called after each image with how many are done, how many there are, and its name."""


@dataclass(frozen=True)
class Row:
    """The scores of one image by metric name: nan where the metric has no number, absent where it was not asked."""

    image: str
    height: int
    width: int
    scores: dict[str, float]


@dataclass(frozen=True)
class Failure:
    """Something that should have been scored and was not; `image` is relative to its folder."""

    image: str
    problem: str


@dataclass(frozen=True)
class Summary:
    """One metric over all rows. A mean of nothing is None.

    Attributes:
        mean: over the n images for which the implementation returned a finite number.
        mean_valid: over the n_valid of them on which the metric is sound.
        unsound: the images of `mean` that `mean_valid` leaves out.
        infinite: images left out of both means because their score is infinite: PSNR of equal images.
    """

    mean: float | None
    n: int
    mean_valid: float | None
    n_valid: int
    unsound: list[str]
    infinite: list[str]


@dataclass
class Evaluation:
    """The scores of a folder, in the order of its images."""

    sr: Path
    gt: Path | None
    metrics: Sequence[Metric]
    rows: list[Row] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)
    """Metrics that could not be had, for want of a file or a library, and why."""

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for has been scored."""
        return not self.failures and not self.unavailable

    def summary(self, metric: Metric) -> Summary:
        """The means of one of the metrics."""
        scored = [(row, row.scores[metric.name]) for row in self.rows if metric.name in row.scores]
        finite = [(row, value) for row, value in scored if math.isfinite(value)]
        sound = [value for row, value in finite if metric.sound((row.height, row.width))]
        return Summary(
            mean=_mean([value for _, value in finite]),
            n=len(finite),
            mean_valid=_mean(sound),
            n_valid=len(sound),
            unsound=[row.image for row, _ in finite if not metric.sound((row.height, row.width))],
            infinite=[row.image for row, value in scored if math.isinf(value)],
        )


def score(
    pred: Float[np.ndarray, "h w 3"], gt: Float[np.ndarray, "h w 3"] | None, metrics: Iterable[Metric]
) -> dict[str, float]:
    """The scores of one image by metric name; without ground truth only those of the metrics that need none.

    PSNR of equal images is inf; nan means that the metric has no number for this image (too small, or flat).
    """
    usable = [metric for metric in metrics if not metric.compares_with and (gt is not None or not metric.needs_gt)]
    return {metric.name: metric(pred, gt) for metric in usable}


def evaluate(
    sr: str | Path,
    gt: str | Path | None,
    metrics: Sequence[str | Mapping[str, Any]],
    crop_border: int | None = None,
    iqa_params: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Scores every image below `sr`; what cannot be scored is listed as a failure and the rest goes on.

    Args:
        sr: folder of results.
        gt: folder of ground truths. A pair has the same path in both; the extension may differ.
        metrics: names ("psnr_y") or specs ({"type": "PSNR_Y", "crop_border": 4}).
        crop_border: pixels left out at each edge by the metrics that compare with a ground truth.
        iqa_params: folder with the parameter files of NIQE and BRISQUE.
        progress: told after each image.

    Raises:
        UserError: no or empty folder, an unknown metric, one that lacks its ground truth; no metric that can be had.
    """
    result = Evaluation(Path(sr), Path(gt) if gt else None, [])
    paths = list_images(result.sr)
    classes = [find_metric(metric) for metric in metrics]
    elsewhere = [cls.__name__.lower() for cls in classes if cls.compares_with]
    if elsewhere:
        raise UserError(f"{', '.join(elsewhere)} need the upscaling itself: name methods and data by -opt")
    full_reference = [cls.__name__.lower() for cls in classes if cls.needs_gt]
    if full_reference and result.gt is None:
        raise UserError(f"{', '.join(full_reference)} compare with a ground truth: name its folder (--gt)")
    truths = _GroundTruths(result.gt) if full_reference and result.gt else None
    if len(set(classes)) < len(classes):
        raise UserError(f"metrics: one is named twice in {[cls.__name__.lower() for cls in classes]}")
    result.metrics, result.unavailable = build_available(metrics, crop_border=crop_border, iqa_params=iqa_params)
    names = [path.relative_to(result.sr).as_posix() for path in paths]
    for done, name in enumerate(names, start=1):
        _score_file(result, name, truths)
        if progress:
            progress(done, len(names), name)
    if truths:
        lonely = truths.without_result(names)
        result.failures += [Failure(name, f"there is no result for it in {result.sr}") for name in lonely]
    return result


def build_available(metrics: Sequence[str | Mapping[str, Any]], **defaults: Any) -> tuple[list[Metric], dict[str, str]]:
    """The metrics that can be had here, and why the others cannot, by name; `defaults` as for build_metric.

    Raises:
        MetricUnavailable: none can be had.
        OptionError: a spec is wrong.
    """
    built, unavailable = [], {}
    problem = None
    for metric in metrics:
        try:
            built.append(build_metric(metric, **defaults))
        except MetricUnavailable as error:
            problem = problem or error
            unavailable[find_metric(metric).__name__.lower()] = str(error)
    if problem and not built:
        raise problem
    return built, unavailable


class _GroundTruths:
    """The images of a folder, found by the path of a result."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.by_stem: dict[Path, list[Path]] = defaultdict(list)
        for path in list_images(folder):
            self.by_stem[path.relative_to(folder).with_suffix("")].append(path)

    def read(self, name: str, shape: tuple[int, ...]) -> Float[np.ndarray, "h w 3"]:
        """The ground truth of a result of this shape; the same extension goes before others."""
        stem = Path(name).with_suffix("")
        found = self.by_stem.get(stem, [])
        same = [path for path in found if path.name == Path(name).name]
        if not found:
            raise UserError(f"there is no ground truth for it in {self.folder}")
        if len(found) > 1 and not same:
            raise UserError(f"it has several ground truths: {', '.join(str(path) for path in found)}")
        truth = read_rgb((same or found)[0])
        if truth.shape[:2] != shape[:2]:
            raise UserError(f"it is {size_text(shape)} and its ground truth is {size_text(truth.shape)}")
        return truth

    def without_result(self, names: Iterable[str]) -> list[str]:
        """The images to which none of these results belongs."""
        stems = {Path(name).with_suffix("") for name in names}
        lonely = [path for stem, paths in self.by_stem.items() if stem not in stems for path in paths]
        return [path.relative_to(self.folder).as_posix() for path in lonely]


def _score_file(result: Evaluation, name: str, truths: _GroundTruths | None) -> None:
    """Adds the row of one image to the result, or its failures, or both."""
    try:
        pred = read_rgb(result.sr / name)
    except ImageError as error:
        result.failures.append(Failure(name, error.problem))
        return
    gt = None
    if truths:
        try:
            gt = truths.read(name, pred.shape)
        except UserError as error:
            result.failures.append(Failure(name, str(error)))
    scores: dict[str, float] = {}
    for metric in result.metrics:
        try:
            scores |= score(pred, gt, [metric])
        except UserError as error:
            result.failures.append(Failure(name, f"{metric.name}: {error}"))
    result.rows.append(Row(name, pred.shape[0], pred.shape[1], scores))
    for metric in result.metrics:
        if math.isnan(scores.get(metric.name, 0.0)):
            small = min(pred.shape[:2]) < metric.smallest_px
            reason = f"smaller than {metric.smallest_px} px" if small else "it has no detail to measure"
            result.failures.append(Failure(name, f"{metric.name} gives no number ({size_text(pred.shape)}: {reason})"))


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
