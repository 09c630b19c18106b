"""The multiply-accumulates of a way, by its parts."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from realciao.archs.ciaosr_arch import is_dense
from realciao.benchmarks.decoder.gemm import Shape
from realciao.benchmarks.decoder.ways import Case, ours
from realciao.benchmarks.instruments.laps import Laps
from realciao.benchmarks.instruments.macs import MacCounter
from realciao.coords import make_axis, make_cell


class Macs(NamedTuple):
    """Multiply-accumulates of an image."""

    encoder: float
    non_local: float
    """Of one pass."""
    tables: float
    """Once an LR pixel: the decoder's convolutions."""
    queries: float
    """Once a query: the decoder's matrix products."""
    elementwise: float
    """The decoder's products number by number."""

    @property
    def decoder(self) -> float:
        """Of convolutions and matrix products."""
        return self.tables + self.queries


def count(way: Callable[[Laps], object]) -> Macs:
    """Of a way with the laps whole, encoder and non_local."""
    with MacCounter() as counter:
        laps = Laps(counter.read)
        way(laps)
    tables, queries, elementwise = laps.rest("whole").tolist()
    encoder, non_local = (float(laps.spent[name][:2].sum()) for name in ("encoder", "non_local"))
    return Macs(encoder, non_local / max(1, laps.calls["non_local"]), tables, queries, elementwise)


def count_ours(net: Any, lq: Float[Tensor, "1 3 h w"], case: Case) -> Macs:
    """Of the network itself."""
    return count(lambda laps: ours(net, lq, case, laps))


@torch.inference_mode()
def shapes(net: Any, lq: Float[Tensor, "1 3 h w"], case: Case) -> Counter[Shape]:
    """The decoder's matrix products in the first band of an image."""
    prepared = net.prepare(lq, dense=is_dense(lq.shape[2:], case.size))
    ys, xs = (make_axis(n, lq.device) for n in case.size)
    with MacCounter() as counter:
        next(net.decode(prepared, ys, xs, make_cell(case.size, lq.device)[None]))
    return counter.shapes
