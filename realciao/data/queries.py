"""Which HR pixels a training sample asks for: random points, or a window that discriminator and VGG see as an image."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from realciao.data.geometry import Axis
from realciao.errors import OptionError

Indices = tuple[Int[np.ndarray, "hq wq"], Int[np.ndarray, "hq wq"]]


class Queries(ABC):
    """A rule for the HR pixels of a sample and the LR patch under them; `str` puts it in words for messages."""

    one_scale_per_batch: ClassVar[bool]
    """Whether the patch's size follows from the scale, so that a batch must agree on one."""

    @abstractmethod
    def patch_size(self, scale: float) -> int:
        """Edge of the LR patch at `scale`, in LR pixels."""

    @abstractmethod
    def pick(self, rng: np.random.Generator, rows: Axis, columns: Axis) -> Indices:
        """Rows and columns of the queried pixels in the HR image."""


@dataclass(frozen=True)
class RandomPoints(Queries):
    """`sample_q` different HR pixels, in any order, of those on an LR patch of `lq_size`: hq = 1, wq = sample_q."""

    lq_size: int
    sample_q: int

    one_scale_per_batch: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 1 <= self.sample_q <= self.lq_size**2:
            raise OptionError("sample_q", f"must be 1 to lq_size^2 = {self.lq_size**2} points, is {self.sample_q}")

    def patch_size(self, scale: float) -> int:
        return self.lq_size

    def pick(self, rng: np.random.Generator, rows: Axis, columns: Axis) -> Indices:
        ys, xs = rows.covered(), columns.covered()
        chosen = rng.choice(len(ys) * len(xs), self.sample_q, replace=False, shuffle=False)[None]
        return ys.start + chosen // len(xs), xs.start + chosen % len(xs)

    def __str__(self) -> str:
        return f"lq_size {self.lq_size}"


@dataclass(frozen=True)
class Window(Queries):
    """A dense window of `window` x `window` HR pixels, with at least `margin` LR pixels of context on each side.

    The context is short of `margin` by less than one HR pixel where the window cannot be centred exactly.
    """

    window: int
    margin: int

    one_scale_per_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.window < 8 or self.window % 8:
            raise OptionError("window", f"must be a positive multiple of 8, is {self.window}")

    def patch_size(self, scale: float) -> int:
        return math.ceil(self.window / scale) + 2 * self.margin

    def pick(self, rng: np.random.Generator, rows: Axis, columns: Axis) -> Indices:
        ys, xs = np.meshgrid(rows.centred(self.window), columns.centred(self.window), indexing="ij")
        return ys, xs

    def __str__(self) -> str:
        return f"window {self.window}, margin {self.margin}"


def make_queries(lq_size: int | None, sample_q: int | None, window: int | None, margin: int) -> Queries:
    """RandomPoints from `lq_size` and `sample_q`, or Window from `window` and `margin`.

    Raises:
        OptionError: neither or both are given, or a value is out of range.
    """
    if window is not None:
        if lq_size is not None or sample_q is not None:
            raise OptionError("window", "excludes random points: set lq_size and sample_q to null, or window")
        return Window(window, margin)
    if lq_size is None or sample_q is None:
        missing = "lq_size" if lq_size is None else "sample_q"
        raise OptionError(missing, "is missing: give lq_size and sample_q (random points), or window")
    return RandomPoints(lq_size, sample_q)
