"""What the decoders share: queries are located one axis at a time, and a grid of them is its rows times its columns."""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from realciao.archs.cores import map_on_cores

CPU_CHUNK_NUMBERS = 1.8e6
"""What the four cells of a grid's queries decoded at a time hand from layer to layer: on a CPU that must stay in its cache."""
CPU_QUERIES = (2**9, 2**13)
"""Fewest and most at a time: calls cost, too."""
QUERIES_PER_CHUNK_ELSEWHERE = 2**16


class SeparableDecoder(nn.Module, ABC):
    """`query` and `query_grid` of a decoder that says what a query reads along either axis, and what it makes of that.

    A grid costs the first step its rows plus its columns, and both ways give the same numbers, bit by bit.
    """

    @abstractmethod
    def locate(self, prepared: Any, axis: int, coord: Float[Tensor, "b n"], cell: Float[Tensor, "b"]) -> Any:
        """What n queries read along axis 0 (y) or 1 (x): a NamedTuple of tensors with b and n as their last axes.

        Coordinates and cells are those of the full image.
        """

    @abstractmethod
    def decode(self, prepared: Any, rows: Any, columns: Any, cell: Float[Tensor, "b 2"]) -> Float[Tensor, "b q 3"]:
        """The colours of q queries, located on both axes."""

    def query(
        self, prepared: Any, coord: Float[Tensor, "b hq wq 2"], cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 hq wq"]:
        """Colours at any coordinates of the full image's frame."""
        b, hq, wq, _ = coord.shape
        rows = self.locate(prepared, 0, coord[..., 0].reshape(b, -1), cell[:, 0])
        columns = self.locate(prepared, 1, coord[..., 1].reshape(b, -1), cell[:, 1])
        return self.decode(prepared, rows, columns, cell).transpose(1, 2).reshape(b, 3, hq, wq)

    def query_grid(
        self, prepared: Any, ys: Float[Tensor, "hq"], xs: Float[Tensor, "wq"], cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 hq wq"]:
        """Colours on the grid of two axes of coordinates of the full image's frame."""
        b, hq, wq = len(cell), len(ys), len(xs)
        rows = self.locate(prepared, 0, ys.expand(b, hq), cell[:, 0])
        columns = self.locate(prepared, 1, xs.expand(b, wq), cell[:, 1])
        prepared, rows = self.narrow(prepared, rows)
        queries = self.queries_per_chunk(ys.device)
        wide = min(wq, queries)
        tall = queries // wide
        windows = [(y, x) for y in range(0, hq, tall) for x in range(0, wq, wide)]

        def colours(window: tuple[int, int]) -> Float[Tensor, "b n m 3"]:
            y, x = window
            return self._window(prepared, _slice(rows, y, y + tall), _slice(columns, x, x + wide), cell)

        parts = map_on_cores(colours, windows, ys.device)
        across = math.ceil(wq / wide)
        bands = [torch.cat(parts[i : i + across], dim=2) for i in range(0, len(parts), across)]
        return torch.cat(bands, dim=1).permute(0, 3, 1, 2)

    def queries_per_chunk(self, device: torch.device) -> int:
        """Queries of a grid that are decoded at a time."""
        if device.type != "cpu":
            return QUERIES_PER_CHUNK_ELSEWHERE
        widths = [max(m.in_features, m.out_features) for m in self.modules() if isinstance(m, nn.Linear)]
        fewest, most = CPU_QUERIES
        return max(fewest, min(most, int(CPU_CHUNK_NUMBERS / (4 * max(widths, default=1)))))

    def narrow(self, prepared: Any, rows: Any) -> tuple[Any, Any]:
        """What queries of these rows need of an image, and the rows in terms of that: everything, unless overridden."""
        return prepared, rows

    def _window(self, prepared: Any, rows: Any, columns: Any, cell: Float[Tensor, "b 2"]) -> Float[Tensor, "b n m 3"]:
        n, m = rows[0].shape[-1], columns[0].shape[-1]
        rows = type(rows)(*(_repeat_each(t, m) for t in rows))
        columns = type(columns)(*(_repeat_all(t, n) for t in columns))
        return self.decode(prepared, rows, columns, cell).view(len(cell), n, m, 3)


def _slice(located: Any, begin: int, end: int) -> Any:
    return type(located)(*(t[..., begin:end] for t in located))


def _repeat_each(t: Shaped[Tensor, "*k b hq"], wq: int) -> Shaped[Tensor, "*k b q"]:
    return t[..., :, None].expand(*t.shape, wq).flatten(-2)


def _repeat_all(t: Shaped[Tensor, "*k b wq"], hq: int) -> Shaped[Tensor, "*k b q"]:
    return t[..., None, :].expand(*t.shape[:-1], hq, t.shape[-1]).flatten(-2)
