"""Writes an evaluation into its folder: metrics.csv, .json, .md, .tex, report.html, and figures/."""

import csv
import io
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from realciao.evaluation.grid import tables
from realciao.evaluation.grid.cells import Cell, make_cells, verdicts
from realciao.evaluation.grid.costs import Cost
from realciao.evaluation.grid.crops import View, draw_figure, make_views
from realciao.evaluation.grid.page import make_page
from realciao.evaluation.grid.results import Results
from realciao.files import atomic_write
from realciao.images.reading import write_image


def write_grid_report(results: Results, costs: list[Cost]) -> list[Path]:
    """Writes every file, each whole or not at all, and returns their paths.

    Raises:
        UserError: a file cannot be written, or a crop chosen by hand cannot be cut.
    """
    folder = results.options.folder
    cells = make_cells(results)
    views = make_views(results)
    texts = {
        "metrics.csv": to_csv(results),
        "metrics.json": json.dumps(to_json(results, cells, costs), indent=2, ensure_ascii=False, allow_nan=False)
        + "\n",
        "metrics.md": to_markdown(results, cells, costs),
        "metrics.tex": tables.latex(cells, costs, results),
        "report.html": make_page(results, cells, costs, views),
    }
    for name, text in texts.items():
        atomic_write(folder / name, text)
    figures = [folder / "figures" / f"{figure_name(view)}.png" for view in views]
    for path, view in zip(figures, views, strict=True):
        write_image(path, draw_figure(view))
    return [*(folder / name for name in texts), *figures]


def figure_name(view: View) -> str:
    """Of a crop's file, with its place in the result."""
    place = "_".join(map(str, view.box[:2]))
    return f"{view.item.data}_x{view.item.scale:g}_{view.item.name.replace('/', '_')}_{place}".replace(" ", "_")


def to_csv(results: Results) -> str:
    """A row for every result; an empty cell is a score that does not exist, equal images have PSNR `inf`."""
    names = results.metrics.names
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "data", "scale", "image", "height", "width", *names])
    for (method, data, scale), rows in results.rows.items():
        for row in rows:
            values = [row.scores.get(name, math.nan) for name in names]
            shown = ["" if math.isnan(value) else f"{value:.6f}" for value in values]
            writer.writerow([method, data, f"{scale:g}", row.image, row.height, row.width, *shown])
    return text.getvalue()


def to_json(results: Results, cells: list[Cell], costs: list[Cost]) -> dict[str, Any]:
    """All there is but the single images, which the CSV holds. Infinite scores are listed by image and in no mean."""
    options = results.options
    return {
        "name": options.name,
        "title": options.title,
        "baseline": options.baseline or results.methods[0].name,
        "data": [
            {"name": s.data.name, "scale": s.scale, "n": len(s.items), "checksum": s.checksum, "problem": s.problem}
            for s in results.sources
        ],
        "lower_better": {name: results.metrics.lower_better(name) for name in results.metrics.names},
        "range": {n: cls.score_range for n, cls in zip(results.metrics.names, results.metrics.classes, strict=True)},
        "implementation": {
            f"{s.data.name} x{s.scale:g}": {m.name: m.implementation for m in results.metrics.made(s.items[0].border)}
            for s in results.sources
            if s.items
        },
        "cells": [asdict(cell) for cell in cells],
        "costs": [asdict(cost) for cost in costs],
        "remarks": {method.name: method.remark for method in results.methods if method.remark},
        "unavailable": [{"what": a, "problem": b, "allowed": c} for a, b, c in results.unavailable],
        "failures": [asdict(failure) for failure in results.failures],
        "notes": list(options.notes),
    }


def to_markdown(results: Results, cells: list[Cell], costs: list[Cost]) -> str:
    options = results.options
    parts = [f"# {options.title or options.name}"]
    if cells:
        parts += [
            tables.markdown_table(cells, results),
            "Mean over the images with its bootstrap 95 % interval; best of a column in bold; ↑ higher is better, ↓ lower.",
        ]
        lines = tables.unsound_lines(cells)
        if lines:
            about = "\\* The mean holds images on which the metric is not sound (too small). Without them:"
            parts += [about, bullets(lines)]
    if costs:
        lr = "x".join(map(str, options.costs.lr_size[::-1])) if options.costs else ""
        scale = f"{options.costs.scale:g}" if options.costs else ""
        parts += [f"## Costs of one {lr} image at x{scale}", tables.cost_table(costs, results)]
    remarks = [f"{method.name}: {method.remark}" for method in results.methods if method.remark]
    parts += [bullets([*remarks, *options.notes])] if remarks or options.notes else []
    compared = verdicts(results, cells)
    parts += ["## Who is better, image by image", bullets(compared)] if compared else []
    if results.unavailable:
        lines = [f"{what}: {problem}" for what, problem, _ in results.unavailable]
        parts += [f"## Missing ({len(lines)})", bullets(lines)]
    if results.failures:
        lines = [f"{failure.image}: {failure.problem}" for failure in results.failures]
        parts += [f"## Not scored ({len(lines)})", bullets(lines)]
    if cells:
        parts += ["## Measured by", tables.metric_table(results), "## Data", tables.data_table(results)]
    return "\n\n".join(parts) + "\n"


def bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
