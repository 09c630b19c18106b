"""Multi-step synthesis: one large scale as several smaller ones, each within what a network was trained for."""

import math
from typing import Any

from jaxtyping import Float
from torch import Tensor

from realciao.errors import UserError

MAX_STEPS = 100


def step_sizes(size: tuple[int, int], target: tuple[int, int], largest: float) -> list[tuple[int, int]]:
    """The sizes to be made in turn on the way from `size` to `target`, which is the last: x8 by x4 at most is x4, then x2.

    Args:
        size: height and width.
        target: those wanted; an axis that shrinks does so in the first step.
        largest: no step but one from so few pixels that it must enlarges an axis by more than this.

    Raises:
        UserError: `largest` is not above 1, or so little above that more than MAX_STEPS would be made.
    """
    if not 1 < largest < math.inf:
        raise UserError(f"a step must enlarge: its largest scale is {largest:g}; give a number above 1")
    sizes = []
    while not sizes or size != target:
        height, width = (min(goal, max(n + 1, int(n * largest))) for n, goal in zip(size, target, strict=True))
        size = (height, width)
        sizes.append(size)
        if len(sizes) > MAX_STEPS:
            raise UserError(f"steps of at most x{largest:g} would be more than {MAX_STEPS}; give a larger one")
    return sizes


def upscale_in_steps(
    net: Any, lq: Float[Tensor, "b 3 h w"], size: tuple[int, int], largest: float
) -> Float[Tensor, "b 3 H W"]:
    """`net.upscale(lq, size)` by way of the sizes of `step_sizes`; between steps the image is clamped and not rounded."""
    height, width = lq.shape[2:]
    for step in step_sizes((height, width), size, largest):
        lq = net.upscale(lq, step)
    return lq
