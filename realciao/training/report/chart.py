"""Curves as inline SVG, coloured by the page's style sheet, so that they follow its light and dark form."""

import itertools
import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 460, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 18, 26
MOST_POINTS = 300
"""Of a curve: more than that a chart of this size cannot show, and the file must not grow with the run."""
TICKS = 5

Points = Sequence[tuple[float, float]]


class Curve(NamedTuple):
    """One line of a chart."""

    label: str
    points: Points
    style: str
    """A class of the style sheet: c1, c2, ... or ref (dashed)."""
    dots: bool = False


def draw(
    curves: Sequence[Curve], x_range: tuple[int, int], marks: Sequence[tuple[int, str]] = (), log: bool = False
) -> str:
    """A chart of curves over steps.

    Args:
        curves: those without points are left out.
        x_range: first and last step of the axis.
        marks: steps at which a stage begins, with its name.
        log: logarithmic values; those that are not positive are left out.
    """
    thinned = [
        curve._replace(points=thin([(x, y) for x, y in curve.points if math.isfinite(y) and (y > 0 or not log)]))
        for curve in curves
    ]
    drawn = [curve for curve in thinned if curve.points]
    if not drawn:
        return '<p class="none">no values yet</p>'
    to_axis = math.log10 if log else float
    values = [to_axis(y) for curve in drawn for _, y in curve.points]
    low, high = _room(min(values), max(values))
    ticks = nice_ticks(low, high) if not log else _decades(low, high)
    x_low, x_high = x_range[0], max(x_range[1], x_range[0] + 1)

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        down = TOP + (high - to_axis(y)) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(", ".join(c.label for c in drawn))}">'
    ]
    for tick in ticks:
        y = place(x_low, 10**tick if log else tick)[1]
        text = f"{10**tick:.0e}".replace("e-0", "e-") if log else short(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5}" text-anchor="end">{text}</text>')
    for tick in (t for t in nice_ticks(x_low, x_high) if x_low <= t <= x_high):
        x = place(tick, drawn[0].points[0][1])[0]
        anchor = "end" if x > WIDTH - RIGHT - 20 else "middle"
        parts.append(f'<text class="tick" x="{x}" y="{HEIGHT - 8}" text-anchor="{anchor}">{short(tick)}</text>')
    for step, name in marks:
        if x_low < step < x_high:
            x = place(step, drawn[0].points[0][1])[0]
            parts.append(f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
            parts.append(f'<text class="tick" x="{x}" y="{TOP - 6}" text-anchor="middle">{escape(name)}</text>')
    for curve in drawn:
        places = [place(*point) for point in curve.points]
        line = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline class="line {curve.style}" points="{line}"/>')
        shown = places if curve.dots and len(places) <= 40 else places[-1:]
        for (x, y), (step, value) in zip(shown, list(curve.points)[-len(shown) :], strict=True):
            tip = f"{curve.label}: {number(value)} at step {step:,.0f}"
            parts.append(
                f'<circle class="dot {curve.style}" cx="{x}" cy="{y}" r="3"><title>{escape(tip)}</title></circle>'
            )
    return "".join([*parts, "</svg>"])


def thin(points: Points) -> list[tuple[float, float]]:
    """At most MOST_POINTS of a curve: means of runs of neighbours, the first and the last point as they are."""
    if len(points) <= MOST_POINTS:
        return list(points)
    inner, runs = points[1:-1], MOST_POINTS - 2
    bounds = [round(i * len(inner) / runs) for i in range(runs + 1)]
    means = []
    for start, end in itertools.pairwise(bounds):
        run = inner[start:end]
        means.append((sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)))
    return [points[0], *means, points[-1]]


def nice_ticks(low: float, high: float) -> list[float]:
    """About TICKS round numbers (1, 2 or 5 times a power of ten) between two values."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def short(value: float) -> str:
    """A tick's number: 20000 is 20k."""
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{sign}"
    return f"{value:.4g}"


def number(value: float) -> str:
    """A value for a person: four digits, small ones as a power."""
    return f"{value:.2e}" if value and abs(value) < 1e-3 else f"{value:.4g}"


def _room(low: float, high: float) -> tuple[float, float]:
    """The range with some room above and below; of a constant, around it."""
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def _decades(low: float, high: float) -> list[float]:
    return [float(power) for power in range(math.ceil(low), math.floor(high) + 1)] or [round((low + high) / 2, 2)]
