"""Multiply-accumulates, counted as they are dispatched."""

from collections import Counter
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from realciao.benchmarks.instruments.laps import Reading

KINDS = ("convolution", "matrix", "elementwise")
aten = torch.ops.aten


class MacCounter:
    """Counts, while it is entered: of convolutions, of matrix products, and of products number by number.

    torch's own counter knows no product in place (`addmm_`) and no product number by number; both are added. Sums without a
    product, such as a normalisation's, count as nothing, and so do softmax, gathers and copies.
    """

    def __init__(self) -> None:
        self.shapes: Counter[tuple[int, int, int]] = Counter()
        """How often a matrix product of (m, k) by (k, n) was made."""
        products: dict[Any, Any] = {
            aten.mm: self._mm,
            aten.addmm: self._addmm,
            aten.addmm_: self._addmm,
            aten.bmm: self._bmm,
            aten.baddbmm: self._baddbmm,
            aten.baddbmm_: self._baddbmm,
        }
        elementwise = (aten.mul, aten.mul_, aten.addcmul, aten.addcmul_)
        self._mode = FlopCounterMode(display=False, custom_mapping=products | dict.fromkeys(elementwise, _elementwise))
        self._elementwise = frozenset(elementwise)

    def __enter__(self) -> "MacCounter":
        self._mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._mode.__exit__(*error)

    def knows(self, operator: Any) -> bool:
        """Whether the products of a torch operator are counted."""
        return operator in self._mode.flop_registry

    def read(self) -> Reading:
        """What was counted so far, by kind."""
        counts = dict.fromkeys(KINDS, 0)
        for operator, flops in self._mode.get_flop_counts().get("Global", {}).items():
            if operator in self._elementwise:
                counts["elementwise"] += flops // 2
            elif operator in (aten.convolution, aten._convolution, aten.convolution_backward):
                counts["convolution"] += flops // 2
            else:
                counts["matrix"] += flops // 2
        return np.array([counts[kind] for kind in KINDS], float)

    def _mm(self, a: list[int], b: list[int], *_: Any, **__: Any) -> int:
        self.shapes[a[0], a[1], b[1]] += 1
        return 2 * a[0] * a[1] * b[1]

    def _addmm(self, _c: Any, a: list[int], b: list[int], *_: Any, **__: Any) -> int:
        return self._mm(a, b)

    def _bmm(self, a: list[int], b: list[int], *_: Any, **__: Any) -> int:
        return sum(self._mm(a[1:], b[1:]) for _ in range(a[0]))

    def _baddbmm(self, _c: Any, a: list[int], b: list[int], *_: Any, **__: Any) -> int:
        return self._bmm(a, b)


def _elementwise(*_: Any, out_val: Any, **__: Any) -> int:
    """Products of whole numbers are index arithmetic."""
    return 2 * out_val.numel() if out_val.is_floating_point() else 0


_elementwise._get_raw = True  # pyright: ignore[reportFunctionMemberAccess]  # how torch asks for tensors, not shapes
