"""The picture of an `Ensemble`: what the learned weights of the four cells do, beside what areas would."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from realciao.images.reading import from_float
from realciao.upscaling.attention_weights import Ensemble

PANEL_PX = 384
"""A panel's longer side at least; a pixel of the result is as many whole pixels as this takes."""
GAP_PX = 28
HEADING_PX = 46
LABEL_PX = 36
BAR_PX = 100
INK, GREY, PAPER = (20, 24, 28), (96, 102, 110), (255, 255, 255)

MAP = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], np.float32) / 255
"""Colours from low to high, of even steps in lightness (viridis)."""

Colours = Float[np.ndarray, "h w 3"]
Weights = Float[np.ndarray, "4 h w"]


class Panel(NamedTuple):
    """A picture with its label and, where its colours are numbers, the ends of its scale."""

    label: str
    picture: Colours
    ends: tuple[str, str] | None = None


def draw_ensemble(ensemble: Ensemble) -> UInt8[np.ndarray, "H W 3"]:
    """Two rows of panels: area weights, learned weights; and at their ends how far apart these are, and the result."""
    moved = moved_share(ensemble)
    rows = [
        ("Area weights (LIIF): distance alone", ensemble.area, "What attention changes"),
        ("Learned weights: features and distance", ensemble.learned, "What comes out"),
    ]
    last = [
        Panel("weight that moved", _map(moved, 0, 0.5), ("0", "1/2")),
        Panel("result", ensemble.result),
    ]
    bands = []
    for (heading, weights, other), panel in zip(rows, last, strict=True):
        panels = [
            Panel("the pixel that weighs most", heaviest(ensemble, weights)),
            Panel("its weight", _map(weights.max(axis=0), 0.25, 1), ("1/4", "1")),
            Panel("the four pixels, blended", blended(ensemble, weights)),
            panel,
        ]
        bands.append(_draw_row([heading, "", "", other], panels))
    height = sum(band.height for band in bands) + GAP_PX
    page = Image.new("RGB", (bands[0].width, height), PAPER)
    for number, band in enumerate(bands):
        page.paste(band, (0, number * band.height))
    return np.asarray(page)


def heaviest(ensemble: Ensemble, weights: Weights) -> Colours:
    """The LR pixel that weighs most at each query; by area weights that is the enlarged image itself."""
    return np.take_along_axis(ensemble.colour, weights.argmax(axis=0)[None, :, :, None], axis=0)[0]


def blended(ensemble: Ensemble, weights: Weights) -> Colours:
    """The weighted mean of the LR pixels; by area weights that is bilinear interpolation."""
    return (weights[..., None] * ensemble.colour).sum(axis=0)


def moved_share(ensemble: Ensemble) -> Float[np.ndarray, "h w"]:
    """How much of the weight lies on another cell than by areas: 0 to 1."""
    return np.abs(ensemble.learned - ensemble.area).sum(axis=0) / 2


def _map(values: Float[np.ndarray, "h w"], low: float, high: float) -> Colours:
    place = np.clip((values - low) / (high - low), 0, 1)
    stops = np.linspace(0, 1, len(MAP))
    return np.stack([np.interp(place, stops, channel) for channel in MAP.T], axis=-1).astype(np.float32)


def _draw_row(headings: list[str], panels: list[Panel]) -> Image.Image:
    height, width = panels[0].picture.shape[:2]
    zoom = -(-PANEL_PX // max(height, width))
    top = GAP_PX + HEADING_PX + LABEL_PX
    column = max(width * zoom, PANEL_PX) + GAP_PX  # room for the words beside a narrow picture
    size = GAP_PX + len(panels) * column, top + height * zoom
    row = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(row)
    for number, (heading, panel) in enumerate(zip(headings, panels, strict=True)):
        left = GAP_PX + number * column
        draw.text((left, GAP_PX), heading, INK, ImageFont.load_default(31))
        draw.text((left, GAP_PX + HEADING_PX), panel.label, GREY, ImageFont.load_default(24))
        if panel.ends:
            _draw_scale(row, draw, left + column - GAP_PX, GAP_PX + HEADING_PX, panel.ends)
        picture = Image.fromarray(from_float(panel.picture, np.uint8))
        row.paste(picture.resize((width * zoom, height * zoom), Image.Resampling.NEAREST), (left, top))
    return row


def _draw_scale(row: Image.Image, draw: ImageDraw.ImageDraw, right: int, top: int, ends: tuple[str, str]) -> None:
    """A bar of the map's colours between the numbers that its ends stand for, up to the column's right edge."""
    font = ImageFont.load_default(22)
    low, high = ends
    right -= round(font.getlength(high))
    draw.text((right, top + 1), high, GREY, font)
    bar = _map(np.tile(np.linspace(0, 1, BAR_PX, dtype=np.float32), (20, 1)), 0, 1)
    left = right - BAR_PX - 8
    row.paste(Image.fromarray(from_float(bar, np.uint8)), (left, top + 5))
    draw.text((left - 8 - round(font.getlength(low)), top + 1), low, GREY, font)
