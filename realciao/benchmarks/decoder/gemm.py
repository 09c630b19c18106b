"""How fast matrices are multiplied here: the bound for everything that consists of that."""

from collections import Counter

import numpy as np
import torch

from realciao.benchmarks.instruments.laps import Laps, Meter, Reading

Shape = tuple[int, int, int]
REFERENCE: Shape = (2048, 256, 256)
MIN_SECONDS = 0.2
"""A shape is multiplied again and again until this has passed."""
MIN_SHARE = 0.01
"""Shapes with less of the multiply-accumulates than this are left out, and those that stay stand for them."""


def macs(shape: Shape) -> int:
    """Multiply-accumulates of a matrix product of (m, k) by (k, n)."""
    return shape[0] * shape[1] * shape[2]


def measure(shapes: Counter[Shape], meter: Meter, like: torch.Tensor) -> Laps:
    """Seconds for one product of the REFERENCE shape (lap `reference`), and for all products of `shapes` (lap `shapes`).

    Args:
        like: of the type and on the device of the matrices.
    """
    laps = Laps(meter)
    laps.spent["reference"] = _seconds(REFERENCE, meter, like)
    total = sum(macs(shape) * count for shape, count in shapes.items())
    main = {shape: count for shape, count in shapes.items() if macs(shape) * count >= MIN_SHARE * total}
    if main:
        share = sum(macs(shape) * count for shape, count in main.items()) / total
        seconds = sum((count * _seconds(shape, meter, like) for shape, count in main.items()), start=np.zeros(2))
        laps.spent["shapes"] = seconds / share
    return laps


def _seconds(shape: Shape, meter: Meter, like: torch.Tensor) -> Reading:
    m, k, n = shape
    a, weight = (torch.randn(size, dtype=like.dtype, device=like.device) for size in ((m, k), (n, k)))
    b = weight.t()  # as a linear layer has it; in bfloat16 the other way is a tenth as fast on some CPUs
    out = torch.mm(a, b)
    begin = now = meter()
    times = 0
    while now[0] - begin[0] < MIN_SECONDS:
        for _ in range(max(1, times)):
            torch.mm(a, b, out=out)
        times += max(1, times)
        now = meter()
    return (now - begin) / times
