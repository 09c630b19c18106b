"""The page: its sections as HTML, from what was read of the run."""

import base64
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path

from realciao.errors import UserError
from realciao.metrics import find_metric
from realciao.training.report.chart import Curve, Points, draw, number
from realciao.training.report.previews import Sheet
from realciao.training.report.run_data import RunData

SPEEDS = {"images_per_s", "data_share", "memory_gib"}
TITLES = {
    "l_g_pix": "pixel loss",
    "l_g_percep": "perceptual loss",
    "l_g_gan": "adversarial loss of the generator",
    "lr": "learning rate",
    "images_per_s": "images per second",
    "data_share": "share of the time spent waiting for data",
    "memory_gib": "memory, GiB",
}


def build_page(run: RunData) -> str:
    """The whole file, which refers to nothing outside itself."""
    sections = [
        _header(run),
        _tiles(run),
        _warnings(run),
        _section("Validation", _validation(run)),
        _section("What it makes", _sheets(run.sheets)),
        _section("Training", _training(run)),
        _section("Scores", _scores(run)),
        _section(
            "Options",
            f"<details><summary>options.yml, every default written out</summary>{_pre(run.options)}</details>",
        ),
        _section("Machine", _machine(run)),
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(run.name)} · RealCiaoSR</title><style>{_style()}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _header(run: RunData) -> str:
    stage = next((s for s in run.stages if run.step <= s.last), run.stages[-1])
    done = run.step / run.total if run.total else 0
    segments = "".join(
        f'<span class="segment" style="flex:{s.last - s.first}">'
        f'<span class="fill" style="width:{_share(run.step, s.first, s.last)}%"></span>'
        f'<span class="name">{escape(s.name)}</span></span>'
        for s in run.stages
    )
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    state = "finished" if run.step >= run.total else f"in stage {escape(stage.name)}"
    return (
        f'<header><div class="title"><h1>{escape(run.name)}</h1><p>step {run.step:,} of {run.total:,} '
        f"({done:.0%}) · {state} · written {when}</p></div>"
        f'<div class="bar" role="progressbar" aria-valuenow="{done:.3f}">{segments}</div></header>'
    )


def _share(step: int, first: int, last: int) -> str:
    return f"{100 * min(1.0, max(0.0, (step - first) / max(1, last - first))):.1f}"


def _tiles(run: RunData) -> str:
    tiles = []
    for name, series in run.val.items():
        for metric, points in series.items():
            if metric.endswith("_bicubic") or not points:
                continue
            value, reference = points[-1][1], series.get(f"{metric}_bicubic")
            tiles.append(_tile(f"{metric} · {name}", number(value), _against(metric, value, reference)))
    for key, label, unit in (("images_per_s", "speed", "images per second"), ("memory_gib", "memory", "GiB")):
        if run.train.get(key):
            tiles.append(_tile(label, f"{run.train[key][-1][1]:.3g}", unit))
    if run.train.get("data_share"):
        tiles.append(_tile("waiting for data", f"{run.train['data_share'][-1][1]:.0%}", "of the time"))
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


@cache
def lower_better(metric: str) -> bool:
    """Whether less of a metric is better, as its class says; False for a metric that is not installed here."""
    try:
        return find_metric(metric, "val.metrics").lower_better
    except UserError:
        return False


def _tile(label: str, value: str, note: str) -> str:
    return f'<div class="tile"><p class="label">{escape(label)}</p><p class="value">{value}</p><p class="note">{note}</p></div>'


def _against(metric: str, value: float, reference: Points | None) -> str:
    """By how much a score differs from bicubic's."""
    if not reference:
        return ""
    gain = value - reference[-1][1]
    good = (gain < 0) == lower_better(metric)
    return f'<span class="{"good" if good else "bad"}">{gain:+.3g}</span> against bicubic'


def _warnings(run: RunData) -> str:
    if not run.warnings:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in run.warnings)
    title = f"{len(run.warnings)} warning{'s' if len(run.warnings) > 1 else ''}"
    return f'<aside class="warnings"><h2>{title}</h2><ul>{items}</ul></aside>'


def _validation(run: RunData) -> str:
    figures = []
    for name, series in run.val.items():
        for metric, points in series.items():
            if metric.endswith("_bicubic"):
                continue
            curves = [
                Curve("bicubic", series.get(f"{metric}_bicubic", []), "ref"),
                Curve(metric, points, "c1", dots=True),
            ]
            better = "lower is better" if lower_better(metric) else "higher is better"
            figures.append(_figure(f"{metric} on {name}", better, curves, run))
    return _grid(figures, "No validation yet.")


def _training(run: RunData) -> str:
    figures = []
    rivals = [key for key in ("l_d_real", "l_d_fake") if key in run.train]
    for key, points in run.train.items():
        if key in rivals or key == "lr" or key in SPEEDS:
            continue
        figures.append(_figure(TITLES.get(key, key), key, [Curve(key, points, "c1")], run))
    if rivals:
        curves = [Curve(key, run.train[key], f"c{i}") for i, key in enumerate(rivals, start=1)]
        figures.append(_figure("losses of the discriminator", "real and fake should stay close", curves, run))
    for key in ("lr", *sorted(SPEEDS)):
        if key in run.train:
            figures.append(_figure(TITLES[key], "", [Curve(key, run.train[key], "c3")], run, log=key == "lr"))
    return _grid(figures, "No step yet.")


def _figure(title: str, note: str, curves: list[Curve], run: RunData, log: bool = False) -> str:
    marks = [(stage.first, stage.name) for stage in run.stages[1:]]
    last = max((int(curve.points[-1][0]) for curve in curves if curve.points), default=1)
    svg = draw(curves, (0, last), marks, log)
    shown = [curve for curve in curves if curve.points]
    legend = " ".join(
        f'<span class="key {c.style}">{escape(c.label)} <b>{number(c.points[-1][1])}</b></span>' for c in shown
    )
    head = f'<figcaption><b>{escape(title)}</b><span class="note">{escape(note)}</span></figcaption>'
    return f'<figure>{head}{svg}<p class="legend">{legend}</p></figure>'


def _grid(figures: list[str], empty: str) -> str:
    return f'<div class="grid">{"".join(figures)}</div>' if figures else f'<p class="none">{empty}</p>'


def _sheets(sheets: Iterable[Sheet]) -> str:
    blocks = []
    for sheet in sheets:
        cells = [_picture(sheet.bicubic, "bicubic")]
        cells += [_picture(path, f"step {step:,}") for step, path in sheet.steps.items()]
        cells += [_picture(sheet.gt, "ground truth")] if sheet.gt else []
        blocks.append(
            f'<div class="sheet"><h3>{escape(sheet.name)} <span class="chip">x{sheet.scale:.3g}</span> '
            f'<span class="note">{escape(sheet.val)}</span></h3><div class="strip">{"".join(cells)}</div></div>'
        )
    return "".join(blocks) or '<p class="none">Pictures come with the first validation.</p>'


def _picture(path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    image = f'<img alt="{escape(caption)}" src="data:image/jpeg;base64,{data}">'
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _scores(run: RunData) -> str:
    tables = []
    for name, series in run.val.items():
        metrics = [metric for metric in series if not metric.endswith("_bicubic")]
        rows = [("bicubic", [(series.get(f"{m}_bicubic") or [(0, float("nan"))])[-1][1] for m in metrics])]
        for stage in run.stages:
            within = {m: [(x, y) for x, y in series[m] if stage.first < x <= stage.last] for m in metrics}
            if any(within.values()):
                rows.append((f"{stage.name}, last", [p[-1][1] if (p := within[m]) else float("nan") for m in metrics]))
                rows.append((f"{stage.name}, best", [_best(m, [y for _, y in within[m]]) for m in metrics]))
        body = "".join(
            f"<tr><th>{escape(label)}</th>{''.join(f'<td>{_cell(value)}</td>' for value in values)}</tr>"
            for label, values in rows
        )
        head = "".join(f"<th>{escape(metric)}</th>" for metric in metrics)
        tables.append(
            f'<div class="table"><h3>{escape(name)}</h3><table><thead><tr><th></th>{head}</tr></thead>{body}</table></div>'
        )
    return "".join(tables) or '<p class="none">No validation yet.</p>'


def _best(metric: str, values: list[float]) -> float:
    if not values:
        return float("nan")
    return min(values) if lower_better(metric) else max(values)


def _cell(value: float) -> str:
    return "–" if value != value else number(value)


def _machine(run: RunData) -> str:
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in run.machine.items())
    return f"<dl>{rows}</dl>"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


@cache
def _style() -> str:
    return resources.files("realciao.training.report").joinpath("style.css").read_text(encoding="utf-8")
