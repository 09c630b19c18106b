"""Resizing with exact geometry: output pixel j looks at (j + 0.5) * n_in / n_out - 0.5, by the sizes and nothing else.

One 1-D weight matrix per axis holds the whole law of a mode. `bilinear` and `bicubic` without antialiasing are those
of OpenCV and torch (bicubic a = -0.75), `lanczos` is Pillow's (3 lobes), but all balanced, so that a straight ramp stays
that ramp; with antialiasing they are Pillow's (bicubic a = -0.5 as in MATLAB, widened to shrink), which keep it on
average and within 0.06 px.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from degradations.errors import RecipeError, suggest
from degradations.kernels import cubic
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Step
from degradations.tensors import band_matmul
from degradations.values import ScaleRange, ScaleRangeSpec, flag, names

MODES = ("area", "bilinear", "bicubic", "lanczos")
REACH = {"area": 1, "bilinear": 1, "bicubic": 2, "lanczos": 3}
"""Half the width of a mode's kernel, in pixels; area enlarges as bilinear does."""

Taps = tuple[Int[np.ndarray, "n k"], Float[np.ndarray, "n k"]]
"""For every output pixel the input pixels that it reads, and their weights."""


@DEGRADATION_REGISTRY.register()
class Resize(Step):
    """Resizes both axes by one factor; the result has max(1, round(n * factor)) pixels along each.

    Args:
        mode: area (enlarges as bilinear does), bilinear, bicubic or lanczos, or a list of them to draw from with equal
            chances.
        factor: of the size that `relative_to` names; 1 unless given. May depend on the scale.
        divisor: instead of `factor`, its inverse: drawn uniformly, as factors of shrinking are in BSRGAN.
        relative_to: "image", the size at this point, or "lr", the size that the recipe must end with.
        antialias: widen the filter when shrinking; `area` has no need of it.
    """

    def __init__(
        self,
        mode: str | list[str],
        factor: ScaleRangeSpec | None = None,
        relative_to: Literal["image", "lr"] = "image",
        antialias: bool = False,
        divisor: ScaleRangeSpec | None = None,
    ) -> None:
        self.modes = names("mode", mode, MODES)
        if factor is not None and divisor is not None:
            raise RecipeError("divisor", "stands beside `factor`; give one of the two")
        self.factor = ScaleRange.parse("factor", 1 if factor is None else factor, at_least=0.001, at_most=64)
        self.divisor = None if divisor is None else ScaleRange.parse("divisor", divisor, at_least=0.01, at_most=1000)
        if relative_to not in ("image", "lr"):
            raise RecipeError(
                "relative_to", f"unknown reference {relative_to!r}{suggest(relative_to, ('image', 'lr'))}"
            )
        self.relative_to = relative_to
        self.antialias = flag("antialias", antialias)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        factor = 1 / self.divisor.draw(rng, frame.scale) if self.divisor else self.factor.draw(rng, frame.scale)
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

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h2 w2"]:
        height, width = params[0]["size"]
        return _resize_axis(params, _resize_axis(params, images, height, axis=2), width, axis=3)


def _resize_rows(
    image: Float[np.ndarray, "n m 3"], n_out: int, mode: str, antialias: bool
) -> Float[np.ndarray, "n_out m 3"]:
    n_in, m = image.shape[:2]
    if n_in == n_out:
        return image
    return (axis_weights(n_in, n_out, mode, antialias) @ image.reshape(n_in, m * 3)).reshape(n_out, m, 3)


def _resize_axis(
    params: Sequence[Params], images: Float[Tensor, "b 3 h w"], n_out: int, axis: int
) -> Float[Tensor, "b 3 h2 w2"]:
    n_in = images.shape[axis]
    if n_in == n_out:
        return images
    weights = [axis_weights(n_in, n_out, p["mode"], p["antialias"]).tocoo() for p in params]
    reach = max(np.abs(w.col - _centres(n_in, n_out)[w.row]).max() for w in weights)
    return band_matmul(torch.from_numpy(np.stack([w.toarray() for w in weights])).to(images), reach, images, axis)


@lru_cache(maxsize=8)  # square images have the same weights twice, and all of a batch end with one size
def axis_weights(n_in: int, n_out: int, mode: str, antialias: bool) -> csr_array:
    """The matrix (n_out, n_in), float32, that resizes one axis, not to be written to; its rows sum to 1."""
    if mode == "area" and n_in > n_out:
        index, weight = _area_taps(n_in, n_out)
    else:
        index, weight = _kernel_taps(n_in, n_out, mode, antialias)
    if not antialias:
        _balance(index, weight, _centres(n_in, n_out))
    column = index.clip(0, n_in - 1, dtype=np.int32).ravel()  # the edge pixel is repeated
    row_starts = np.arange(0, column.size + 1, index.shape[1], dtype=np.int32)
    return csr_array((weight.astype(np.float32).ravel(), column, row_starts), shape=(n_out, n_in))


def _kernel_taps(n_in: int, n_out: int, mode: str, antialias: bool) -> Taps:
    """Samples a continuous kernel around every output pixel's place."""
    stretch = max(n_in / n_out, 1.0) if antialias else 1.0
    reach = REACH[mode] * stretch
    centre = _centres(n_in, n_out)
    index = np.floor(centre - reach).astype(int)[:, None] + np.arange(1, math.ceil(2 * reach) + 1)
    distance = np.abs(index - centre[:, None]) / stretch
    if mode == "bicubic":
        weight = cubic(distance, -0.5 if antialias else -0.75)
    elif mode == "lanczos":
        weight = np.where(distance < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
    else:
        weight = np.maximum(1 - distance, 0)
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
    a pixel, under `bicubic` by up to 0.05 px, as a cubic with a = -0.75 does not reproduce a straight line,
    and neither does `lanczos`.
    """
    row, used = np.arange(len(index)), np.abs(weight) > 1e-9
    first, last = used.argmax(1), used.shape[1] - 1 - used[:, ::-1].argmax(1)
    excess = ((weight * index).sum(1) - centre) / np.maximum(last - first, 1)
    weight[row, first] += excess
    weight[row, last] -= excess


def _centres(n_in: int, n_out: int) -> Float[np.ndarray, "n_out"]:
    return (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
