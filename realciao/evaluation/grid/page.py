"""report.html: one file with everything in it, for a browser."""

import base64
import html
import io
import math
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image

from realciao.evaluation.grid import tables
from realciao.evaluation.grid.cells import Cell, finite, verdicts
from realciao.evaluation.grid.costs import Cost
from realciao.evaluation.grid.crops import View
from realciao.evaluation.grid.data_sets import each
from realciao.evaluation.grid.results import Results
from realciao.images.reading import from_float, read_rgb

EXTREMES = 3
THUMB_PX = 112
BAR_PX = 120


def make_page(results: Results, cells: list[Cell], costs: list[Cost], views: list[View]) -> str:
    """The page; it refers to nothing outside itself."""
    options = results.options
    sections = [
        ("Scores", _scores(results, cells) if cells else ""),
        ("Costs", _costs(results, costs) if costs else ""),
        ("Who is better, image by image", _list(verdicts(results, cells))),
        ("Side by side", _views(views)),
        ("Best and worst images", _extremes(results)),
        ("Every image", _images(results)),
        ("Missing", _list([f"{what}: {problem}" for what, problem, _ in results.unavailable])),
        ("Not scored", _list([f"{failure.image}: {failure.problem}" for failure in results.failures])),
        ("Notes", _list([*(f"{m.name}: {m.remark}" for m in results.methods if m.remark), *options.notes])),
        ("Measured by", _metrics(results)),
        ("Data", _data(results)),
    ]
    shown = [(title, body) for title, body in sections if body]
    page = Template(files("realciao.evaluation.grid").joinpath("page.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=html.escape(options.title or options.name),
        nav="".join(f'<a href="#s{i}">{title}</a>' for i, (title, _) in enumerate(shown)),
        body="".join(f'<section id="s{i}"><h2>{title}</h2>{body}</section>' for i, (title, body) in enumerate(shown)),
    )


def _table(header: list[str], rows: list[list[str]], keys: list[list[float | str]] | None = None) -> str:
    """A sortable table of ready HTML cells; `keys` are what a click on a heading sorts by."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    lines = []
    for i, row in enumerate(rows):
        marks = [f' data-k="{html.escape(str(key))}"' for key in keys[i]] if keys else [""] * len(row)
        lines.append("<tr>" + "".join(f"<td{m}>{cell}</td>" for m, cell in zip(marks, row, strict=True)) + "</tr>")
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<div class="wide"><table class="sortable">{body}</table></div>'


def _list(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>" if lines else ""


def _scores(results: Results, cells: list[Cell]) -> str:
    places = tables.columns(cells)
    top = tables.best(cells, results)
    span = {}
    for place in places:
        intervals = [c.interval for c in cells if (c.data, c.scale, c.metric) == place and c.interval]
        span[place] = (min(i.low for i in intervals), max(i.high for i in intervals)) if intervals else (0.0, 1.0)
    by_place = {(c.method, c.data, c.scale, c.metric): c for c in cells}
    header = ["method"]
    header += [
        f"<small>{html.escape(d)} ×{s:g}</small><br>{html.escape(tables.arrow(results, m))}" for d, s, m in places
    ]
    rows, keys = [], []
    for method in results.methods:
        row = [f"<b>{html.escape(method.name)}</b>"]
        key: list[float | str] = [method.name]
        for place in places:
            cell = by_place[method.name, *place]
            row.append(_score(cell, span[place], (method.name, *place) in top))
            key.append(cell.interval.mean if cell.interval else "")
        rows.append(row)
        keys.append(key)
    lines = tables.unsound_lines(cells)
    about = "<p>Mean with its bootstrap 95&nbsp;% interval; the bars of a column share one scale. Headings sort.</p>"
    if lines:
        about += "<p>* The mean holds images on which the metric is not sound. Without them:</p>" + _list(lines)
    return about + _table(header, rows, keys)


def _score(cell: Cell, span: tuple[float, float], best: bool) -> str:
    paper = "" if cell.paper is None else f"<br><small>paper {cell.paper:g}"
    if not cell.interval:
        title, reason = html.escape(cell.reason), html.escape(tables.short(cell.reason))
        return f'<span class="none" title="{title}">{reason}</span>{paper + "</small>" if paper else ""}'
    i, low = cell.interval, span[0]
    if paper:
        paper += f", {i.mean - (cell.paper or 0):+.3f}</small>"
    per_px = (span[1] - low or 1.0) / BAR_PX
    left, right, dot = ((v - low) / per_px for v in (i.low, i.high, i.mean))
    bar = (
        f'<svg width="{BAR_PX + 8}" height="10" role="img" aria-label="{i.low:.3f} to {i.high:.3f}">'
        f'<line x1="{left + 4:.1f}" x2="{right + 4:.1f}" y1="5" y2="5"/><circle cx="{dot + 4:.1f}" cy="5" r="3.5"/></svg>'
    )
    mark = "*" if cell.summary and cell.summary.unsound else ""
    return (
        f'<span class="{"best" if best else "mean"}">{i.mean:.3f}{mark}</span> '
        f"<small>[{i.low:.3f}, {i.high:.3f}] n={i.n}</small><br>{bar}{paper}"
    )


def _costs(results: Results, costs: list[Cost]) -> str:
    rows = [[html.escape(text) for text in tables.cost_cells(cost, results)] for cost in costs]
    keys = [[c.method, *("" if c.values[k] is None else c.values[k] for k in tables.COLUMNS), c.reason] for c in costs]
    return _table(["method", *tables.COST_HEADINGS.values(), "remark"], rows, keys)  # type: ignore[arg-type]


def _views(views: list[View]) -> str:
    if not views:
        return ""
    controls = (
        '<p class="controls"><label>size <input type="range" id="size" min="100" max="700" value="260"></label> '
        '<label>zoom <input type="range" id="zoom" min="1" max="12" step="0.5" value="3"></label> '
        '<label><input type="checkbox" id="smooth"> smooth</label> '
        "<span>Move over a crop, or touch it: the same place is enlarged in all of its row.</span></p>"
    )
    rows = []
    for view in views:
        top, left, bottom, right = view.box
        panels = "".join(
            f'<figure><div class="pane"><img src="{png_uri(Image.fromarray(pixels))}" alt=""></div>'
            f"<figcaption>{html.escape(label)}</figcaption></figure>"
            for label, pixels in view.panels
        )
        where = f"rows {top} to {bottom}, columns {left} to {right} of the result"
        rows.append(f'<h3>{html.escape(view.title)} <small>{where}</small></h3><div class="row">{panels}</div>')
    return controls + "".join(rows)


def _extremes(results: Results) -> str:
    """For every method, place and metric the images that came out best and worst."""
    items = {(item.data, item.name, item.scale): item for item in each(results.sources)}
    thumbs: dict[tuple[str, str, str, float], str] = {}
    blocks = []
    for (method, data, scale), rows in results.rows.items():
        lines = []
        for metric in results.metrics.names:
            scored = sorted(finite(rows, metric).items(), key=lambda one: one[1])
            if not results.metrics.lower_better(metric):
                scored.reverse()
            if len(scored) <= 2 * EXTREMES:
                continue
            cells = []
            for name, value in [*scored[:EXTREMES], *scored[-EXTREMES:]]:
                key = (method, data, name, scale)
                if key not in thumbs:
                    thumbs[key] = _thumb(results.files[method, items[data, name, scale]])
                caption = f"<figcaption>{html.escape(name)}<br>{value:.3f}</figcaption>"
                cells.append(f'<figure><img src="{thumbs[key]}" alt="">{caption}</figure>')
            best, worst = "".join(cells[:EXTREMES]), "".join(cells[EXTREMES:])
            heading = html.escape(tables.arrow(results, metric))
            lines.append(
                f'<div class="extremes"><b>{heading}</b><span>best</span>{best}<span>worst</span>{worst}</div>'
            )
        if lines:
            title = html.escape(f"{method}, {data} ×{scale:g}")
            blocks.append(f"<details open><summary>{title}</summary>{''.join(lines)}</details>")
    return "".join(blocks)


def _images(results: Results) -> str:
    names = results.metrics.names
    rows, keys = [], []
    for (method, data, scale), found in results.rows.items():
        source = next(s for s in results.sources if (s.data.name, s.scale) == (data, scale))
        sound = {m.name: m.sound for item in source.items[:1] for m in results.metrics.made(item.border)}
        for row in found:
            values = [row.scores.get(name, math.nan) for name in names]
            size = (row.height, row.width)
            marks = ["" if name not in sound or sound[name](size) else "*" for name in names]
            shown = ["–" if math.isnan(v) else f"{v:.4f}{mark}" for v, mark in zip(values, marks, strict=True)]
            head = [html.escape(method), html.escape(data), f"×{scale:g}", html.escape(row.image)]
            rows.append([*head, f"{row.width}×{row.height}", *shown])
            sorting = ["" if math.isnan(v) else v for v in values]
            keys.append([method, data, scale, row.image, row.width * row.height, *sorting])
    if not rows:
        return ""
    heads = ["method", "data", "scale", "image", "size", *(html.escape(tables.arrow(results, name)) for name in names)]
    return f"<details><summary>{len(rows)} rows</summary>{_table(heads, rows, keys)}</details>"


def _metrics(results: Results) -> str:
    return _markdown_table(tables.metric_table(results)) if results.metrics.names else ""


def _data(results: Results) -> str:
    return _markdown_table(tables.data_table(results)) if results.sources else ""


def _markdown_table(text: str) -> str:
    lines = [[html.escape(cell.strip()) for cell in line.strip("| ").split(" | ")] for line in text.splitlines()]
    return _table(lines[0], lines[2:])


def _thumb(path: Path) -> str:
    image = Image.fromarray(from_float(read_rgb(path), np.uint8))
    image.thumbnail((THUMB_PX, THUMB_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def png_uri(image: Image.Image) -> str:
    """The image as a link that holds it."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
