"""Writes an evaluation: metrics.csv (a row per image), metrics.json (means and their makers), metrics.md."""

import csv
import io
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from realciao.evaluation.folder import Evaluation
from realciao.figures.markdown import number, table
from realciao.files import atomic_write
from realciao.metrics.metric import Metric


def write_report(evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Writes the three files, each whole or not at all, and returns their paths; an earlier report is replaced.

    Raises:
        UserError: the folder cannot be made or written to.
    """
    folder = Path(folder)
    texts = {
        folder / "metrics.csv": _csv(evaluation),
        folder / "metrics.json": json.dumps(to_json(evaluation), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        folder / "metrics.md": _markdown(evaluation),
    }
    for path, text in texts.items():
        atomic_write(path, text)
    return list(texts)


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """What metrics.json holds. JSON has no infinity: infinite scores are listed by image and in no mean."""
    summaries = {metric.name: asdict(evaluation.summary(metric)) for metric in evaluation.metrics}
    keys = ("mean", "n", "mean_valid", "n_valid", "unsound", "infinite")
    return {key: {name: summary[key] for name, summary in summaries.items()} for key in keys} | {
        "lower_better": {metric.name: metric.lower_better for metric in evaluation.metrics},
        "range": {metric.name: metric.score_range for metric in evaluation.metrics},
        "implementation": {metric.name: metric.implementation for metric in evaluation.metrics},
        "unavailable": evaluation.unavailable,
        "sr": str(evaluation.sr),
        "gt": str(evaluation.gt) if evaluation.gt else None,
        "failures": [asdict(failure) for failure in evaluation.failures],
    }


def summary_table(evaluation: Evaluation) -> str:
    """The means as a Markdown table, aligned so that it also reads well in a terminal."""
    lines = []
    for metric in evaluation.metrics:
        summary = evaluation.summary(metric)
        means = [number(summary.mean), str(summary.n), number(summary.mean_valid), str(summary.n_valid)]
        if summary.infinite and not summary.n:
            means[0] = "equal images"
        lines.append([_heading(metric), *means, metric.implementation])
    return table(["metric", "mean", "images", "valid mean", "valid images", "measured by"], lines)


def _csv(evaluation: Evaluation) -> str:
    """An empty cell is a score that does not exist; equal images have PSNR `inf`."""
    names = [metric.name for metric in evaluation.metrics]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *names])
    for row in evaluation.rows:
        values = [row.scores.get(name, math.nan) for name in names]
        writer.writerow([row.image, *("" if math.isnan(value) else f"{value:.6f}" for value in values)])
    return text.getvalue()


def _markdown(evaluation: Evaluation) -> str:
    against = f" against `{evaluation.gt}`" if evaluation.gt else ""
    parts = [
        f"# Scores of `{evaluation.sr}`{against}",
        summary_table(evaluation),
        "↑ higher is better, ↓ lower is better. The valid mean leaves out images on which the metric is not sound, "
        "marked * below; no mean holds the infinite PSNR of equal images.",
    ]
    if evaluation.unavailable:
        parts += [
            f"## Metrics that could not be had ({len(evaluation.unavailable)})",
            "\n".join(f"- {problem}" for problem in evaluation.unavailable.values()),
        ]
    if evaluation.failures:
        parts += [
            f"## Not scored ({len(evaluation.failures)})",
            "\n".join(f"- `{failure.image}`: {failure.problem}" for failure in evaluation.failures),
        ]
    header = ["image", "width x height", *(_heading(metric) for metric in evaluation.metrics)]
    lines = [
        [row.image, f"{row.width} x {row.height}"]
        + [
            number(row.scores.get(metric.name)) + ("" if metric.sound((row.height, row.width)) else "*")
            for metric in evaluation.metrics
        ]
        for row in evaluation.rows
    ]
    return "\n\n".join([*parts, "## Images", table(header, lines)]) + "\n"


def _heading(metric: Metric) -> str:
    return f"{metric.name} {'↓' if metric.lower_better else '↑'}"
