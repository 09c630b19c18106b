"""Resizing with exact geometry: output pixel j looks at (j + 0.5) * n_in / n_out - 0.5, by the sizes and nothing else.

One 1-D weight matrix per axis holds the whole law of a mode. `bilinear` and `bicubic` without antialiasing are those
of OpenCV and torch (bicubic a = -0.75) but balanced, so that a straight ramp stays that ramp; with antialiasing they
are Pillow's (a = -0.5 as in MATLAB, widened to shrink), which keep it on average and within 0.06 px.
"""

import math
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from degradations.errors import RecipeError, suggest
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Step
from degradations.values import Range, RangeSpec, flag, names

MODES = ("area", "bilinear", "bicubic")

Taps = tuple[Int[np.ndarray, "n k"], Float[np.ndarray, "n k"]]
"""For every output pixel the input pixels that it reads, and their weights."""


@DEGRADATION_REGISTRY.register()
class Resize(Step):
    """Resizes both axes by one factor; the result has max(1, round(n * factor)) pixels along each.

    Args:
        mode: area (enlarges as bilinear does), bilinear or bicubic, or a list of them to draw from with equal chances.
        factor: of the size that `relative_to` names.
        relative_to: "image", the size at this point, or "lr", the size that the recipe must end with.
        antialias: widen the filter when shrinking; `area` has no need of it.
    """

    def __init__(
        self,
        mode: str | list[str],
        factor: RangeSpec = 1.0,
        relative_to: Literal["image", "lr"] = "image",
        antialias: bool = False,
    ) -> None:
        self.modes = names("mode", mode, MODES)
        self.factor = Range.parse("factor", factor, at_least=0.001, at_most=64)
        if relative_to not in ("image", "lr"):
            raise RecipeError(
                "relative_to", f"unknown reference {relative_to!r}{suggest(relative_to, ('image', 'lr'))}"
            )
        self.relative_to = relative_to
        self.antialias = flag("antialias", antialias)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        factor = self.factor.draw(rng)
        reference = frame.lr_size if self.relative_to == "lr" else frame.size
        return {
            "mode": self.modes[int(rng.integers(len(self.modes)))],
            "antialias": self.antialias,
            "from": list(frame.size),
            "size": [max(1, round(n * factor)) for n in reference],
        }

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h2 w2 3"]:
        height, width = params["size"]
        rows_done = _resize_rows(image, height, params["mode"], params["antialias"])
        both_done = _resize_rows(cv2.transpose(rows_done), width, params["mode"], params["antialias"])
        return cv2.transpose(both_done)


def _resize_rows(
    image: Float[np.ndarray, "n m 3"], n_out: int, mode: str, antialias: bool
) -> Float[np.ndarray, "n_out m 3"]:
    n_in, m = image.shape[:2]
    if n_in == n_out:
        return image
    return (axis_weights(n_in, n_out, mode, antialias) @ image.reshape(n_in, m * 3)).reshape(n_out, m, 3)


@lru_cache(maxsize=8)  # square images have the same weights twice, and all of a batch end with one size
def axis_weights(n_in: int, n_out: int, mode: str, antialias: bool) -> csr_array:
    """The matrix (n_out, n_in), float32, that resizes one axis, not to be written to; its rows sum to 1."""
    if mode == "area" and n_in > n_out:
        index, weight = _area_taps(n_in, n_out)
    else:
        index, weight = _kernel_taps(n_in, n_out, mode, antialias)
    if not antialias:
        _balance(index, weight, _centres(n_in, n_out))
    column = index.clip(0, n_in - 1).astype(np.int32).ravel()  # the edge pixel is repeated
    row_starts = np.arange(0, column.size + 1, index.shape[1], dtype=np.int32)
    return csr_array((weight.astype(np.float32).ravel(), column, row_starts), shape=(n_out, n_in))


def _kernel_taps(n_in: int, n_out: int, mode: str, antialias: bool) -> Taps:
    """Samples a continuous kernel around every output pixel's place."""
    stretch = max(n_in / n_out, 1.0) if antialias else 1.0
    reach = (2 if mode == "bicubic" else 1) * stretch
    centre = _centres(n_in, n_out)
    index = np.floor(centre - reach).astype(int)[:, None] + np.arange(1, math.ceil(2 * reach) + 1)
    distance = np.abs(index - centre[:, None]) / stretch
    weight = _cubic(distance, -0.5 if antialias else -0.75) if mode == "bicubic" else np.maximum(1 - distance, 0)
    if antialias:  # as Pillow: what lies outside has no say
        weight[(index < 0) | (index >= n_in)] = 0
    return index, weight / weight.sum(1, keepdims=True)


def _area_taps(n_in: int, n_out: int) -> Taps:
    """Each input pixel's share of the output pixel's footprint, n_in > n_out."""
    lower = np.arange(n_out) * n_in / n_out
    upper = np.arange(1, n_out + 1) * n_in / n_out
    index = np.floor(lower).astype(int)[:, None] + np.arange(math.ceil(n_in / n_out) + 1)
    share = np.minimum(index + 1, upper[:, None]) - np.maximum(index, lower[:, None])
    return index, np.maximum(share, 0) * n_out / n_in


def _balance(index: Int[np.ndarray, "n k"], weight: Float[np.ndarray, "n k"], centre: Float[np.ndarray, "n"]) -> None:
    """Moves a little weight between the outermost taps, in place, so that each centre of mass is where it belongs.

    Without it the content is displaced to and fro: under `area` by up to 1/8 px where a footprint begins or ends inside
    a pixel, under `bicubic` by up to 0.05 px, as a cubic with a = -0.75 does not reproduce a straight line.
    """
    row, used = np.arange(len(index)), np.abs(weight) > 1e-9
    first, last = used.argmax(1), used.shape[1] - 1 - used[:, ::-1].argmax(1)
    excess = ((weight * index).sum(1) - centre) / np.maximum(last - first, 1)
    weight[row, first] += excess
    weight[row, last] -= excess


def _centres(n_in: int, n_out: int) -> Float[np.ndarray, "n_out"]:
    return (np.arange(n_out) + 0.5) * n_in / n_out - 0.5


def _cubic(distance: Float[np.ndarray, "n k"], a: float) -> Float[np.ndarray, "n k"]:
    """Keys' cubic convolution kernel (1981) at non-negative distances."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
