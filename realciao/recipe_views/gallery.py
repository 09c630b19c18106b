"""A plan step by step: pictures of one part of an image, and in words what was done to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from degradations import describe, target, trace
from realciao.figures.crops import busiest
from realciao.images.reading import from_float, to_float, upscale_bicubic

MIN_CROP_PX, MIN_CROP_LR_PX = 192, 32
"""The part that is shown is at least so many HR pixels and so many LR pixels wide, where the image has them."""
OVERVIEW_PX = 640
"""Longer side, at most, of the picture of the whole image."""

Picture = Float[np.ndarray, "h w 3"]
Pixels = UInt8[np.ndarray, "h w 3"]
Box = tuple[float, float, float, float]
"""Top, left, bottom and right in fractions of an image."""


class Panel(NamedTuple):
    """What was done, and the shown part of the image after it, a pixel for a pixel."""

    words: str
    crop: Pixels
    size: tuple[int, int]
    """of the whole image at that point"""


@dataclass(frozen=True)
class Exhibit:
    """An image and what its plan made of it."""

    name: str
    plan: dict[str, Any]
    panels: list[Panel]
    """the input first, the result last"""
    before: Pixels
    after: Pixels
    """the whole input and the whole result, made smaller where large"""
    box: Box
    """the shown part"""
    psnr_db: float
    """of the result enlarged by bicubic interpolation, against the input"""


def show(name: str, plan: dict[str, Any], image: Picture) -> Exhibit:
    """Carries out a plan, and keeps of every step what is to be seen.

    Raises:
        RecipeError: the plan is damaged, or for another size.
    """
    states = _states(plan, image)
    words, state = next(states)
    box = _shown_part(image, plan)
    panels = [Panel(words, _cut(state, box), state.shape[:2])]
    for words, state in states:
        panels.append(Panel(words, _cut(state, box), state.shape[:2]))
    before, after = from_float(image, np.uint8), from_float(state, np.uint8)
    return Exhibit(name, plan, panels, _shrink(before), _shrink(after), box, psnr_db(to_float(after), image))


def psnr_db(result: Picture, image: Picture) -> float:
    """PSNR of a result, enlarged by bicubic interpolation, against the image that it was made from; 100 at most."""
    error = upscale_bicubic(result, image.shape[:2]) - image
    return float(-10 * np.log10(max(np.mean(error**2, dtype=np.float64), 1e-10)))


def _states(plan: dict[str, Any], image: Picture) -> Iterator[tuple[str, Picture]]:
    start = target(plan, image)
    yield "Input", image
    if plan["target"] is not None:
        yield f"The target: {describe(plan['target'])}", start
    for step, state in trace(plan, start):
        yield describe(step), state


def _shown_part(image: Picture, plan: dict[str, Any]) -> Box:
    (height, width), (lr_height, lr_width) = image.shape[:2], plan["lr_size"]
    scale = max(height / lr_height, width / lr_width)
    edge = min(height, width, max(MIN_CROP_PX, round(MIN_CROP_LR_PX * scale)))
    top, left = busiest(image, edge)
    return top / height, left / width, (top + edge) / height, (left + edge) / width


def _cut(state: Picture, box: Box) -> Pixels:
    height, width = state.shape[:2]
    top, left = min(round(box[0] * height), height - 1), min(round(box[1] * width), width - 1)
    bottom, right = max(round(box[2] * height), top + 1), max(round(box[3] * width), left + 1)
    return from_float(state[top:bottom, left:right], np.uint8)


def _shrink(pixels: Pixels) -> Pixels:
    image = Image.fromarray(pixels)
    image.thumbnail((OVERVIEW_PX, OVERVIEW_PX), Image.Resampling.LANCZOS)
    return np.array(image)
