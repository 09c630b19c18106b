"""Places to look at: the same crop of the input, of every method's result and of the ground truth."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from realciao.errors import UserError
from realciao.evaluation.grid.data_sets import Item, each
from realciao.evaluation.grid.results import Results
from realciao.images.reading import from_float, read_rgb

EDGE_PX = (160, 384)
"""Smallest and largest edge of a crop that is chosen by itself, in pixels of the result; between them it is 32 LR pixels."""
PANEL_PX = 320
LABEL_PX = 24

Box = tuple[int, int, int, int]
Levels = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class View:
    """One place: its panels are (label, pixels), all of one size."""

    item: Item
    box: Box
    panels: list[tuple[str, Levels]]

    @property
    def title(self) -> str:
        return f"{self.item.data} x{self.item.scale:g}: {self.item.name}"


def places_by_hand(results: Results) -> list[tuple[Item, Box]]:
    """The crops that the options name; no result is needed for it.

    Raises:
        UserError: one names no image of the run, or lies outside it.
    """
    by_place = _by_place(results)
    places = []
    for i, crop in enumerate(results.options.crops):
        item = by_place.get((crop.data, crop.image, crop.scale))
        if item is None:
            names = ", ".join(dict.fromkeys(name for data, name, _ in by_place if data == crop.data)) or "none"
            raise UserError(
                f"crops.{i}: the run has no image '{crop.image}' in {crop.data} at x{crop.scale:g}; there {names:.200}"
            )
        height, width = item.size(item.read()[0])
        top, left, bottom, right = crop.box
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            raise UserError(
                f"crops.{i}.box: {list(crop.box)} is not (top, left, bottom, right) inside {height} rows, {width} columns"
            )
        places.append((item, crop.box))
    return places


def make_views(results: Results) -> list[View]:
    """The crops chosen by hand, then those where the methods differ most, one an image.

    Raises:
        UserError: a crop by hand names no image of the run, or lies outside it.
    """
    views = [_view(results, item, box) for item, box in places_by_hand(results)]
    ranked = []
    if results.options.auto_crops:
        for item in _by_place(results).values():
            found = _where_they_differ(results, item)
            if found:
                ranked.append((found[0], item, found[1]))
    # one image once, at the scale at which the methods differ most
    ranked.sort(key=lambda one: -one[0])
    seen: set[tuple[str, str]] = set()
    for _, item, box in ranked:
        if len(seen) < results.options.auto_crops and (item.data, item.name) not in seen:
            seen.add((item.data, item.name))
            views.append(_view(results, item, box))
    return views


def draw_figure(view: View) -> Levels:
    """The panels side by side with their names, for a paper."""
    panels = []
    for label, pixels in view.panels:
        image = Image.fromarray(pixels)
        shape = (PANEL_PX, max(1, round(PANEL_PX * image.height / image.width)))
        panel = Image.new("RGB", (shape[0] + 4, shape[1] + LABEL_PX), "white")
        panel.paste(image.resize(shape, Image.Resampling.NEAREST), (2, LABEL_PX))
        ImageDraw.Draw(panel).text((4, 4), label, fill="black", font=ImageFont.load_default(14))
        panels.append(np.asarray(panel))
    height = max(panel.shape[0] for panel in panels)
    padded = [np.pad(p, ((0, height - p.shape[0]), (0, 0), (0, 0)), constant_values=255) for p in panels]
    return np.concatenate(padded, axis=1)


def _by_place(results: Results) -> dict[tuple[str, str, float], Item]:
    return {(item.data, item.name, item.scale): item for item in each(results.sources)}


def _paths(results: Results, item: Item) -> dict[str, Path]:
    names = [method.name for method in results.methods]
    return {name: results.files[name, item] for name in names if (name, item) in results.files}


def _view(results: Results, item: Item, box: Box) -> View:
    lq, gt = item.read()
    top, left, bottom, right = box
    height, width = item.size(lq)
    # the input's pixels as squares, so that every panel shows the same extent to the pixel
    rows = ((np.arange(top, bottom) + 0.5) * lq.shape[0] / height).astype(int)
    columns = ((np.arange(left, right) + 0.5) * lq.shape[1] / width).astype(int)
    panels = [("input", lq[rows[:, None], columns])]
    panels += [(name, read_rgb(p)[top:bottom, left:right]) for name, p in _paths(results, item).items()]
    if gt is not None:
        panels.append(("ground truth", gt[top:bottom, left:right]))
    return View(item, box, [(label, from_float(pixels, np.uint8)) for label, pixels in panels])


def _where_they_differ(results: Results, item: Item) -> tuple[float, Box] | None:
    """How much the methods differ where they do so most, and where; for one method alone, from the ground truth."""
    # grey and one after the other: results at x16 are large
    greys = [read_rgb(path).mean(axis=2) for path in _paths(results, item).values()]
    if len(greys) == 1:
        gt = item.read()[1]
        greys += [gt.mean(axis=2)] if gt is not None else []
    if not greys:
        return None
    # a tint or another brightness, which shows everywhere, is no reason to look at a flat place
    details = [grey - _smooth(grey, item.scale) for grey in greys]
    map_px = np.maximum.reduce(details) - np.minimum.reduce(details) if len(details) > 1 else np.abs(details[0])
    edge = min(round(min(max(32 * item.scale, EDGE_PX[0]), EDGE_PX[1])), *map_px.shape)
    sums = np.pad(map_px.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    total = sums[edge:, edge:] - sums[:-edge, edge:] - sums[edge:, :-edge] + sums[:-edge, :-edge]
    top, left = (int(n) for n in np.unravel_index(int(total.argmax()), total.shape))
    return float(total.max()) / edge**2, (top, left, top + edge, left + edge)


def _smooth(grey: Float[np.ndarray, "h w"], scale: float) -> Float[np.ndarray, "h w"]:
    """Means over four LR pixels a side."""
    width_px = 2 * round(2 * scale) + 1
    return cv2.blur(grey, (width_px, width_px), borderType=cv2.BORDER_REFLECT)
