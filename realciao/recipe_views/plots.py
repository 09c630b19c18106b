"""Figures of degradations, as PNG; the only place that draws with matplotlib."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from realciao.recipe_views.statistics import QUANTITIES, Row, summarise, values

BINS = 24
GRID = {"alpha": 0.3, "linewidth": 0.6}
YOURS, MADE, GREY = "#c2410c", "#2563eb", "#6b7280"


def draw_histograms(rows: Sequence[Row], title: str) -> bytes:
    """One panel a quantity, one line a scale."""
    scales = sorted({row.scale for row in rows})
    figure, panels = _panels(len(QUANTITIES), title)
    colours = colormaps["viridis"](np.linspace(0.05, 0.85, len(scales)))
    for panel, (key, label) in zip(panels, QUANTITIES.items(), strict=False):
        found = {scale: values(rows, key, scale) for scale in scales}
        _histogram(panel, {f"x{scale:g}": found[scale] for scale in scales}, colours, label)
    panels[-1].axis("off")
    if len(scales) > 1:
        panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="center", frameon=False, ncols=2)
    return _png(figure)


def draw_severity(rows: Sequence[Row], title: str) -> bytes:
    """PSNR and effective blur against the scale: median, and the middle 50 and 90 % of the results."""
    summary = summarise(rows)
    scales = [float(scale) for scale in summary]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    figure.suptitle(title, fontsize=11)
    left, right = figure.subplots(1, 2)
    for panel, key, colour in ((left, "psnr_db", MADE), (right, "blur_sigma_px", YOURS)):
        at = {p: [row[key][p] for row in summary.values()] for p in ("p5", "p25", "p50", "p75", "p95")}
        panel.fill_between(scales, at["p5"], at["p95"], color=colour, alpha=0.15, linewidth=0, label="90 % of results")
        panel.fill_between(scales, at["p25"], at["p75"], color=colour, alpha=0.3, linewidth=0, label="50 %")
        panel.plot(scales, at["p50"], "o-", color=colour, markersize=3.5, label="median")
        panel.set_xscale("log")
        panel.set_xticks(scales, [f"{scale:g}" for scale in scales])
        panel.minorticks_off()
        panel.set(xlabel="scale s", ylabel=QUANTITIES[key])
        panel.grid(**GRID)
    bicubic = [row["psnr_bicubic_db"]["p50"] for row in summary.values()]
    # at s = 1 bicubic downscaling does nothing, and its PSNR has no end
    finite = [(s, db) for s, db in zip(scales, bicubic, strict=True) if db < 60]
    left.plot(*zip(*finite, strict=True), "--", color=GREY, label="bicubic alone")
    right.plot(scales, scales, ":", color=GREY, label="one LR px")
    for panel in (left, right):
        panel.legend(fontsize=8, frameon=False)
    return _png(figure)


def draw_match(
    found: Mapping[str, tuple[Sequence[float], Sequence[float]]], labels: Mapping[str, str], title: str
) -> bytes:
    """One panel a quantity: the photos beside what the recipe makes, each in shares of its images."""
    figure, panels = _panels(len(found), title, columns=2)
    for panel, (key, (photos, made)) in zip(panels, found.items(), strict=False):
        both = {f"your photos ({len(photos)})": np.array(photos), f"the recipe's ({len(made)})": np.array(made)}
        _histogram(panel, both, (YOURS, MADE), labels[key])
        panel.legend(fontsize=8, frameon=False)
    for unused in panels[len(found) :]:
        unused.axis("off")
    return _png(figure)


def _panels(count: int, title: str, columns: int = 3) -> tuple[Figure, list[Any]]:
    rows = -(-count // columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * rows), layout="constrained")
    figure.suptitle(title, fontsize=11)
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    return figure, panels


def _histogram(panel: Any, found: Mapping[str, Any], colours: Any, label: str) -> None:
    """Shares of the results in bins that all share, filled where there is one."""
    everything = np.concatenate([*found.values(), np.zeros(0)])
    everything = everything[np.isfinite(everything)]
    panel.set(xlabel=label, ylabel="share of results")
    panel.grid(**GRID)
    if not everything.size:
        panel.text(0.5, 0.5, "none", ha="center", transform=panel.transAxes, color=GREY)
        return
    edges = np.histogram_bin_edges(everything, bins=BINS)
    for (name, values_), colour in zip(found.items(), colours, strict=True):
        kept = values_[np.isfinite(values_)]
        shares = np.histogram(kept, edges)[0] / max(len(kept), 1)
        panel.stairs(shares, edges, color=colour, linewidth=1.4, label=name)
        if len(found) <= 2:
            panel.stairs(shares, edges, color=colour, fill=True, alpha=0.25)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()
