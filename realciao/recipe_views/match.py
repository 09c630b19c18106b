"""What photos look like, a user's own and those that a recipe makes: noise, blur, blocks, and the JPEG quality of files."""

import inspect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from degradations import apply
from degradations.blur import KernelBlur
from degradations.estimate import BLOCK_PX, blockiness, blur_sigma_px, jpeg_quality, noise_sigma_8bit
from degradations.measure import is_noise
from degradations.plan import find_step

Picture = Float[np.ndarray, "h w 3"]
Drawn = dict[str, list[float]]
"""Parameters that were drawn, by "Step.key"."""

CROP_PX = 1024
"""Of larger images the middle is judged."""
LABELS = {
    "noise_sigma_8bit": "noise, sigma [1/255]",
    "blur_sigma_px": "blur of edges, sigma [px]",
    "blockiness": "blockiness (1: no blocks)",
    "jpeg_quality": "JPEG quality of the file",
}


@dataclass(frozen=True)
class Look:
    """What one image looks like; nan where that cannot be told."""

    noise_sigma_8bit: float
    blur_sigma_px: float
    blockiness: float
    jpeg_quality: float
    """of the file, or of a result's last step"""
    drawn: dict[str, Drawn] = field(default_factory=dict)
    """what made a result so, by the name of the number above; empty for a photo"""


def look_at_photo(image: Picture, luma_table: Sequence[int] | None) -> Look:
    """Judges a photo; `luma_table` is the quantisation table of the JPEG file that it came from."""
    return Look(*_judge(image), jpeg_quality(luma_table) if luma_table else math.nan)


def look_at_result(plan: dict[str, Any], image: Picture) -> Look:
    """Degrades an image by a plan and judges the result."""
    drawn: dict[str, Drawn] = {name: {} for name in LABELS}
    for step in plan["steps"]:
        for names, key, value in _telling(step):
            for name in names:
                drawn[name].setdefault(f"{step['type']}.{key}", []).append(value)
    last = plan["steps"][-1]
    return Look(*_judge(apply(plan, image)), float(last.get("quality", math.nan)), drawn)


def _judge(image: Picture) -> tuple[float, float, float]:
    # whole blocks are left out at the top and on the left, so that the grid of JPEG still begins there
    top, left = (max(0, (n - CROP_PX) // 2) // BLOCK_PX * BLOCK_PX for n in image.shape[:2])
    part = np.ascontiguousarray(image[top : top + CROP_PX, left : left + CROP_PX])
    return noise_sigma_8bit(part), blur_sigma_px(part), blockiness(part)


def _telling(step: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str, float]]:
    """The keys of a recipe that say how strong a step is, with what was drawn: (numbers that it changes, key, value)."""
    cls = find_step(step)
    for key in inspect.signature(cls).parameters.keys() & step.keys():
        if key == "quality":
            yield ("blockiness", "jpeg_quality"), key, float(step[key])
            continue
        values = step[key] if isinstance(step[key], list) else [step[key]]
        if not values or not all(isinstance(value, float) for value in values):
            continue
        mean = math.hypot(*values) / math.sqrt(len(values))
        if is_noise(step):
            yield ("noise_sigma_8bit",), key, mean
        elif issubclass(cls, KernelBlur) and (key.endswith("_px") or key == "cutoff"):
            yield ("blur_sigma_px",), key, mean
