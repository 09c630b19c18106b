"""What a plan did: how wide its blurs and resizes spread light, how much noise it added, how it resized and compressed.

Measured on images, not read from the parameters, so that steps of any kind can be compared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy import special

from degradations.blur import KernelBlur
from degradations.plan import Plan, find_step, trace
from degradations.registry import Params

SLANT = math.atan((3 - math.sqrt(5)) / 2)
"""Of the edges that the blur is measured at [rad]: by the golden section, so that pixels meet them at every phase."""
PROBE_PX = 1.0
"""Sigma of these edges, which a grid of pixels can hold without aliasing; taken off again."""


@dataclass
class Measured:
    """What the steps of one plan came to."""

    noise_sigma_8bit: list[float] = field(default_factory=list)
    """of each noise, in order"""
    resize_factor: list[float] = field(default_factory=list)
    """of each resize, in order; the mean of both axes"""
    quality: list[int] = field(default_factory=list)
    """of each codec, in order"""


def measure_steps(
    plan: Plan, sharpened: Float[np.ndarray, "hr_h hr_w 3"]
) -> tuple[Measured, Float[np.ndarray, "h w 3"]]:
    """Carries out a plan on its target: (what the steps came to, the image behind the last, not yet rounded to 8 bits).

    A step is a codec where it holds a quality.
    """
    found, before = Measured(), sharpened
    for step, after in trace(plan, sharpened):
        if before.shape != after.shape:
            found.resize_factor.append(math.sqrt(math.prod(after.shape[:2]) / math.prod(before.shape[:2])))
        elif is_noise(step):
            found.noise_sigma_8bit.append(255 * float(np.sqrt(np.mean((after - before) ** 2, dtype=np.float64))))
        if "quality" in step:
            found.quality.append(step["quality"])
        before = after
    return found, before


def effective_blur_px(plan: Plan) -> float:
    """Sigma in HR px of the Gaussian that would blur an edge as much as all blurs and resizes of the plan do together.

    As much: it moves as much light across the edge, which a Gaussian does by sigma / sqrt(2 pi) to each side. Where a
    filter rings, that counts too. The root mean square over two edges at right angles is taken.
    """
    linear = {**plan, "steps": [step for step in plan["steps"] if _is_linear(step)]}
    *_, (_, after) = trace(linear, _edges(plan["size"], plan["size"], PROBE_PX))
    height, width = after.shape[:2]
    moved = np.abs(after - _edges(plan["size"], (height, width), 0))[..., :2]
    # near the border the mirrored edge has a kink
    rows, columns = slice(height // 8, height - height // 8), slice(width // 8, width - width // 8)
    pixel = math.prod(plan["size"]) / (height * width)
    across = moved[rows, :, 0].sum(dtype=np.float64) * pixel / len(moved[rows]) * height / plan["size"][0]
    along = moved[:, columns, 1].sum(dtype=np.float64) * pixel / moved[:, columns].shape[1] * width / plan["size"][1]
    squares = [math.pi / 2 * (light * math.cos(SLANT)) ** 2 for light in (across, along)]
    return math.sqrt(max(0.0, sum(squares) / 2 - PROBE_PX**2))


def is_noise(step: Params) -> bool:
    """Whether a step of a plan adds noise: it holds the seed of a field, or is called noise."""
    return "seed" in step or "Noise" in step["type"]


def _is_linear(step: Params) -> bool:
    return "size" in step or issubclass(find_step(step), KernelBlur)


def _edges(scene: Sequence[int], grid: Sequence[int], sigma_px: float) -> Float[np.ndarray, "r c 3"]:
    """Edges from 0 to 1 through the middle of a scene, as a grid of pixels samples it: steep, flat, and none.

    Args:
        scene, grid: (height, width), in HR px and in pixels.
        sigma_px: of the Gaussian that the edge is blurred with, HR px; 0 for a step.
    """
    y, x = ((np.arange(n) + 0.5) * size / n - size / 2 for size, n in zip(scene, grid, strict=True))
    cos, sin = math.cos(SLANT), math.sin(SLANT)
    distance = np.stack([cos * x - sin * y[:, None], sin * x + cos * y[:, None]], axis=-1)
    values = special.ndtr(distance / sigma_px) if sigma_px else distance > 0
    return np.dstack([values, np.zeros(grid)]).astype(np.float32)
