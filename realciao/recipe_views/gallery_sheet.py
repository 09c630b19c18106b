"""The gallery of degradations as one picture."""

import textwrap
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from realciao.images.reading import size_text
from realciao.recipe_views.gallery import Exhibit, Panel

PANEL_PX, GAP_PX, COLUMNS = 224, 16, 7
HEADING_PX, LINE_PX, CAPTION_LINES, CAPTION_CHARACTERS = 44, 17, 5, 34
CELL_PX = PANEL_PX + GAP_PX
INK, GREY, PAPER = (20, 24, 28), (96, 102, 110), (255, 255, 255)


def draw_sheet(exhibits: Sequence[Exhibit]) -> UInt8[np.ndarray, "H W 3"]:
    """For each image a heading and its steps, COLUMNS of them in a row."""
    bands = [_draw(exhibit) for exhibit in exhibits]
    sheet = Image.new("RGB", (GAP_PX + COLUMNS * CELL_PX, sum(band.height for band in bands) + GAP_PX), PAPER)
    top = 0
    for band in bands:
        sheet.paste(band, (0, top))
        top += band.height
    return np.array(sheet)


def _draw(exhibit: Exhibit) -> Image.Image:
    row_px = PANEL_PX + CAPTION_LINES * LINE_PX + GAP_PX
    rows = -(-len(exhibit.panels) // COLUMNS)
    band = Image.new("RGB", (GAP_PX + COLUMNS * CELL_PX, HEADING_PX + rows * row_px), PAPER)
    first, last = exhibit.panels[0], exhibit.panels[-1]
    heading = f"{exhibit.name}, {size_text(first.size)} to {size_text(last.size)} px, PSNR {exhibit.psnr_db:.1f} dB"
    draw = ImageDraw.Draw(band)
    draw.text((GAP_PX, GAP_PX), heading, INK, ImageFont.load_default(18))
    for number, panel in enumerate(exhibit.panels):
        row, column = divmod(number, COLUMNS)
        left, top = GAP_PX + column * CELL_PX, HEADING_PX + row * row_px
        picture = Image.fromarray(panel.crop).resize((PANEL_PX, PANEL_PX), Image.Resampling.NEAREST)
        band.paste(picture, (left, top))
        for line, text in enumerate(_caption(number, panel)):
            colour = GREY if line else INK
            draw.text((left, top + PANEL_PX + 4 + line * LINE_PX), text, colour, ImageFont.load_default(13))
    return band


def _caption(number: int, panel: Panel) -> list[str]:
    """What was done, its name on a line of its own, so that it fits under the panel."""
    title, _, rest = panel.words.partition(": ")
    details = "; ".join(part for part in (rest, f"{size_text(panel.size)} px") if part)
    lines = [f"{number}. {title}", *textwrap.wrap(details, CAPTION_CHARACTERS)]
    if len(lines) > CAPTION_LINES:
        lines = [*lines[: CAPTION_LINES - 1], f"{lines[CAPTION_LINES - 1][: CAPTION_CHARACTERS - 3]}..."]
    return lines
