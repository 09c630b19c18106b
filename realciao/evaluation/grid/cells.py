"""From scores to the cells of a table: mean, interval, difference from the baseline and from the paper."""

import math
from dataclasses import dataclass

from realciao.evaluation.bootstrap import Difference, Interval, mean_interval, paired_difference
from realciao.evaluation.folder import Evaluation, Row, Summary
from realciao.evaluation.grid.results import Results
from realciao.metrics.metric import Metric


@dataclass(frozen=True)
class Cell:
    """One number of the table: a method on a data set at a scale by a metric.

    Attributes:
        summary: of all images; None where there is no number.
        interval: of the mean over all images with a finite score.
        difference: from the baseline, image by image; None for the baseline itself.
        reason: why there is no number.
        paper: what the paper states.
    """

    method: str
    data: str
    scale: float
    metric: str
    summary: Summary | None
    interval: Interval | None
    difference: Difference | None
    reason: str
    paper: float | None


def make_cells(results: Results) -> list[Cell]:
    """All cells, methods outermost, then data sets with their scales, then metrics."""
    options = results.options
    baseline = options.baseline or results.methods[0].name
    known = {(p.method, p.data, p.scale, p.metric): p.value for p in options.paper}
    reasons = {method.name: method.problem() for method in results.methods}
    cells = []
    for method in results.methods:
        for source in results.sources:
            rows = results.rows.get((method.name, source.data.name, source.scale), [])
            base = results.rows.get((baseline, source.data.name, source.scale), [])
            made = {metric.name: metric for metric in _made(results, source.items)}
            for name in results.metrics.names:
                place = (method.name, source.data.name, source.scale, name)
                reason = source.problem or reasons[method.name] or results.metrics.unavailable.get(name, "")
                metric = made.get(name)
                summary, interval, difference = None, None, None
                if not reason and metric:
                    summary = Evaluation(results.options.folder, None, [metric], rows).summary(metric)
                    values = finite(rows, name)
                    interval = mean_interval(list(values.values()), options.seed) if values else None
                    if method.name != baseline:
                        difference = paired_difference(finite(base, name), values, metric.lower_better, options.seed)
                    if interval is None:
                        reason = "equal images" if summary.infinite else _absent(metric, source.items)
                cells.append(Cell(*place, summary, interval, difference, reason, known.get(place)))
    return cells


def finite(rows: list[Row], metric: str) -> dict[str, float]:
    """The finite scores by image."""
    return {row.image: row.scores[metric] for row in rows if math.isfinite(row.scores.get(metric, math.nan))}


def _made(results: Results, items: list) -> list[Metric]:
    return results.metrics.made(items[0].border) if items else []


def _absent(metric: Metric, items: list) -> str:
    if metric.needs_gt and all(item.gt is None for item in items):
        return "no ground truth"
    return "no larger scale of the same LR image" if metric.compares_with == "sr" else "no image could be scored"


def verdicts(results: Results, cells: list[Cell]) -> list[str]:
    """A sentence for every cell that differs from the baseline's, or does not: is A better than B?"""
    baseline = results.options.baseline or results.methods[0].name
    sentences = []
    for cell in cells:
        if not cell.difference:
            continue
        d, i = cell.difference, cell.difference.interval
        winner = {
            "second": f"{cell.method} is better than {baseline}",
            "first": f"{baseline} is better than {cell.method}",
        }
        said = winner.get(d.verdict, f"{cell.method} and {baseline} cannot be told apart")
        sentences.append(
            f"{said} by {cell.metric} on {cell.data} x{cell.scale:g}: {cell.method} - {baseline} = {i.mean:+.4f} "
            f"[{i.low:+.4f}, {i.high:+.4f}]; {cell.method} is better on {d.second_better} of {i.n} images"
        )
    return sentences
