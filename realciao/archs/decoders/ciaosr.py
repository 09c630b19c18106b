"""CiaoSR's decoder: continuous implicit attention-in-attention ("CiaoSR", CVPR 2023, Eqs. 4-7), as its released code
computes it.

A query at a continuous coordinate attends to the four cells around it. Keys and values are the cells' features, each
multiplied by what a small network makes of (features, place of the query relative to the cell, size of the HR pixel);
the values also hold the non-local features. The attended value becomes a colour in a third network.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from realciao.archs.cells import AxisCells, NeighbourRule, axis_cells
from realciao.archs.decoders.cross_scale_attention import CrossScaleAttention
from realciao.archs.mlp import MLP
from realciao.coords import Frame
from realciao.registry import ARCH_REGISTRY

QUERIES_PER_CHUNK = {"cpu": 2**10}
"""Queries of a grid decoded at a time, by device: on a CPU, so few that what one layer hands to the next stays in its cache."""
QUERIES_PER_CHUNK_ELSEWHERE = 2**17
FORWARD_PLACES = ((0, 0), (0, 1), (1, -1), (1, 0), (1, 1))
"""The places (y, x) of a cell beside another, as far as they come after it in raster order, and the cell itself."""


class Tables(NamedTuple):
    """What the LR pixels of some rows contribute to the queries that read them, one row of each table an LR pixel."""

    value: Float[Tensor, "b n f"]
    """Their features with those around them, which are also keys and query vectors; behind them the non-local features."""
    key_hidden: Float[Tensor, "b n d"]
    """What the features contribute to the first layer of `imnet_k`."""
    value_hidden: Float[Tensor, "b n d"]
    """Likewise for `imnet_v`."""
    logit: Float[Tensor, "b n5 d"] | None
    """Where many queries come: for each of FORWARD_PLACES and each cell, the vector whose product with the last hidden
    layer of `imnet_k` is the logit of the pair of cells, whichever of the two holds the query."""
    logit_bias: Float[Tensor, "b n5"] | None
    """What is added to the product."""


class Prepared(NamedTuple):
    """What the decoder keeps of one image (or tile)."""

    frame: Frame
    feat: Float[Tensor, "b c h w"]
    non_local: Float[Tensor, "b cm h w"] | None
    tables: Tables | None
    """Of all rows, where few queries will come; where many will, each band of a grid makes those of its rows, so that they
    do not grow with the image."""


@ARCH_REGISTRY.register()
class CiaoSRDecoder(nn.Module):
    """Local implicit attention, with cross-scale non-local attention in its values.

    Args:
        feat_dim: channels of the encoder's map (given by the network).
        hidden: widths of the hidden layers of the three networks.
        non_local_scales: subset of {2, 3, 4}; empty for none.
        local_size: 2 for the four cells around a query, 1 for the nearest alone.
        neighbours: how the four cells are chosen, see `axis_cells`.
        feat_unfold: a cell is its 3x3 neighbourhood, or its own features alone.
        ensemble: the weights of the cells come from products of keys and query, or, as in the paper's Table 4 for want of
            attention, from `imnet_k` itself.
    """

    def __init__(
        self,
        feat_dim: int,
        hidden: tuple[int, ...] = (256, 256, 256, 256),
        non_local_scales: tuple[int, ...] = (2,),
        local_size: int = 2,
        neighbours: NeighbourRule = "published",
        feat_unfold: bool = True,
        ensemble: Literal["attention", "mlp"] = "attention",
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden must be at least one positive width, got {list(hidden)}")
        if not set(non_local_scales) <= {2, 3, 4} or len(set(non_local_scales)) < len(non_local_scales):
            raise ValueError(f"non_local_scales must be different numbers out of 2, 3, 4, got {list(non_local_scales)}")
        if local_size not in (1, 2):
            raise ValueError(f"local_size must be 1 or 2, got {local_size}")
        # a query reads the neighbours of its cell, and each of them the cells around it
        self.reach_px = None if non_local_scales else local_size - 1 + feat_unfold
        self.local_size = local_size
        self.neighbours: NeighbourRule = neighbours
        self.kernel = 3 if feat_unfold else 1
        self.ensemble = ensemble
        self.key_dim = key_dim = self.kernel**2 * feat_dim
        value_dim = key_dim + len(non_local_scales) * feat_dim
        self.imnet_q = MLP(value_dim, 3, hidden)
        self.imnet_k = MLP(key_dim + 4, key_dim if ensemble == "attention" else 1, hidden)
        self.imnet_v = MLP(value_dim + 4, value_dim, hidden)
        self.cs_attn = CrossScaleAttention(feat_dim, non_local_scales) if non_local_scales else None

    def prepare(
        self, feat: Float[Tensor, "b c h w"], lq: Float[Tensor, "b 3 h w"], frame: Frame, dense: bool
    ) -> Prepared:
        """Computes what depends on the image alone; `dense` images want their queries as grids."""
        non_local = None if self.cs_attn is None else self.cs_attn(feat)
        prepared = Prepared(frame, feat, non_local, None)
        return prepared if dense else prepared._replace(tables=self._tables(prepared, 0, feat.shape[2], dense))

    def query(
        self, prepared: Prepared, coord: Float[Tensor, "b hq wq 2"], cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 hq wq"]:
        """Colours at any coordinates of the full image's frame."""
        b, hq, wq, _ = coord.shape
        tables = prepared.tables or self._tables(prepared, 0, prepared.feat.shape[2], dense=True)
        ys, xs = self._cells(prepared, coord[..., 0].reshape(b, -1), coord[..., 1].reshape(b, -1), cell)
        return self._decode(tables, prepared, ys, xs, cell).view(b, hq, wq, 3).permute(0, 3, 1, 2)

    def query_grid(
        self, prepared: Prepared, ys: Float[Tensor, "hq"], xs: Float[Tensor, "wq"], cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 hq wq"]:
        """Colours on the grid of two axes of coordinates of the full image's frame."""
        b, hq, wq = len(cell), len(ys), len(xs)
        rows, columns = self._cells(prepared, ys.expand(b, hq), xs.expand(b, wq), cell)
        tables = prepared.tables
        if tables is None:
            first, last = int(rows.neighbour.min()), int(rows.neighbour.max())
            first, last = min(first, int(rows.nearest.min())), max(last, int(rows.nearest.max()))
            tables = self._tables(prepared, first, last + 1, dense=True)
            rows = AxisCells(rows.nearest - first, rows.neighbour - first, rows.offset)
        queries = QUERIES_PER_CHUNK.get(ys.device.type, QUERIES_PER_CHUNK_ELSEWHERE)
        bands = []
        for y in range(0, hq, max(1, queries // wq)):
            band = _slice(rows, y, y + max(1, queries // wq))
            n = band.nearest.shape[1]
            parts = []
            for x in range(0, wq, queries):
                part = _slice(columns, x, x + queries)
                m = part.nearest.shape[1]
                down = AxisCells(*(t[..., :, None].expand(*t.shape, m).flatten(-2) for t in band))
                along = AxisCells(*(t[..., None, :].expand(*t.shape[:-1], n, m).flatten(-2) for t in part))
                parts.append(self._decode(tables, prepared, down, along, cell).view(b, n, m, 3))
            bands.append(torch.cat(parts, dim=2))
        return torch.cat(bands, dim=1).permute(0, 3, 1, 2)

    def _tables(self, prepared: Prepared, first: int, end: int, dense: bool) -> Tables:
        """The tables of the rows [first, end).

        The first layer of `imnet_k` and `imnet_v` is linear in the features, which do not depend on the query: its
        share is a convolution of the map, done here once a cell rather than once a query and neighbour.
        """
        reach = self.kernel // 2
        around = _rows(prepared.feat, first - reach, end + reach, reach)
        first_k, first_v = self.imnet_k.first, self.imnet_v.first
        value = F.unfold(around, self.kernel).transpose(1, 2)
        key_hidden = F.conv2d(around, self._as_conv(first_k.weight), first_k.bias)
        value_hidden = F.conv2d(around, self._as_conv(first_v.weight), first_v.bias)
        if prepared.non_local is not None:
            non_local = prepared.non_local[:, :, first:end]
            value_hidden = value_hidden + F.conv2d(non_local, first_v.weight[:, self.key_dim : -4, None, None])
            value = torch.cat([value, _as_table(non_local)], dim=2)
        logit = logit_bias = None
        if dense and self.ensemble == "attention":
            logit, logit_bias = self._logit_tables(prepared.feat, first, end)
        return Tables(value.contiguous(), _as_table(key_hidden), _as_table(value_hidden), logit, logit_bias)

    def _logit_tables(
        self, feat: Float[Tensor, "b c h w"], first: int, end: int
    ) -> tuple[Float[Tensor, "b n5 d"], Float[Tensor, "b n5"]]:
        """The last layer of `imnet_k`, the key's gate and the product with the query, folded into one vector a pair of cells.

        With W and v the last layer's weight and bias and h its input, the logit of query cell q and neighbour n is
        <U_q, U_n * (W h + v)> = <W^T (U_q * U_n), h> + <v, U_q * U_n>. The neighbour is one of nine; and as U holds 3x3
        neighbourhoods, U_q * U_n is that of the map times its shifted self, so that W^T and v act as a convolution of it.
        """
        last = self.imnet_k.last
        kernel = self._as_conv(last.weight.T), self._as_conv(last.bias[None])
        reach = self.kernel // 2
        around = _rows(feat, first - reach, end + reach + 1, reach + 1)
        height, width = around.shape[2] - 1, around.shape[3] - 2
        middle = around[:, :, :height, 1 : 1 + width]
        products = [middle * around[:, :, y : y + height, 1 + x : 1 + x + width] for y, x in FORWARD_PLACES]
        weight, bias = (
            torch.cat([_as_table(F.conv2d(product, part)) for product in products], dim=1) for part in kernel
        )
        return weight, bias[..., 0]

    def _as_conv(self, weight: Float[Tensor, "d e"]) -> Float[Tensor, "d c k k"]:
        """The columns of a linear layer that read a cell (channel * k * k + place), as a convolution."""
        return weight[:, : self.key_dim].reshape(len(weight), -1, self.kernel, self.kernel)

    def _cells(
        self, prepared: Prepared, ys: Float[Tensor, "b n"], xs: Float[Tensor, "b m"], cell: Float[Tensor, "b 2"]
    ) -> tuple[AxisCells, AxisCells]:
        """The cells to read on either axis, as indices into the tile."""
        top, left, height, width = prepared.frame
        result = []
        for coord, extent, origin, n, size in (
            (ys, cell[:, 0], top, height, prepared.feat.shape[2]),
            (xs, cell[:, 1], left, width, prepared.feat.shape[3]),
        ):
            cells = axis_cells(coord, extent, n, self.neighbours, self.local_size)
            # a query whose cells lie outside the tile is the caller's error, but it must not read other memory
            nearest, neighbour = ((index - origin).clamp(0, size - 1) for index in cells[:2])
            result.append(AxisCells(nearest, neighbour, cells.offset))
        return result[0], result[1]

    def _decode(
        self, tables: Tables, prepared: Prepared, ys: AxisCells, xs: AxisCells, cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "bq 3"]:
        """Attention of q queries to their local_size ** 2 cells, then colour; all samples' queries in one row after another."""
        b, n, _ = tables.value.shape
        width = prepared.feat.shape[3]
        start = n * torch.arange(b, device=cell.device)[:, None]
        scale = (cell * cell.new_tensor(prepared.frame[2:]))[:, None].expand(-1, ys.nearest.shape[1], -1)
        centre = ys.nearest * width + xs.nearest
        indices, places, logits = [], [], []
        for y, offset_y in zip(ys.neighbour, ys.offset, strict=True):
            for x, offset_x in zip(xs.neighbour, xs.offset, strict=True):
                index = y * width + x
                place = torch.cat([torch.stack([offset_y, offset_x], dim=-1), scale.to(offset_y)], dim=-1).flatten(0, 1)
                hidden = _hidden(self.imnet_k, _take(tables.key_hidden, start + index), place)
                if self.ensemble == "mlp":
                    logit = self.imnet_k.last(hidden)[:, 0]
                elif tables.logit is not None and tables.logit_bias is not None:
                    row = 5 * start + n * _slot(y - ys.nearest, x - xs.nearest) + torch.minimum(centre, index)
                    logit = _take(tables.logit, row).mul_(hidden).sum(dim=1) + _take(tables.logit_bias, row)
                else:
                    query, key = (_take(tables.value, start + i)[:, : self.key_dim] for i in (centre, index))
                    logit = (query * key).mul_(self.imnet_k.last(hidden)).sum(dim=1)
                logits.append(logit)
                indices.append(start + index)
                places.append(place)
        attended: Tensor | None = None
        for index, place, weight in zip(indices, places, torch.stack(logits).softmax(dim=0), strict=True):
            hidden = _hidden(self.imnet_v, _take(tables.value_hidden, index), place)
            gate = self.imnet_v.last(hidden).mul_(weight[:, None])
            value = _take(tables.value, index)
            attended = value.mul_(gate) if attended is None else attended.addcmul_(value, gate)
        assert attended is not None
        return self.imnet_q(attended)


def _slot(dy: Int[Tensor, "b q"], dx: Int[Tensor, "b q"]) -> Int[Tensor, "b q"]:
    """Which of FORWARD_PLACES the later of two cells, (dy, dx) apart, takes beside the earlier."""
    return torch.where(dy == 0, dx.abs(), 3 + dx * dy)


def _rows(image: Float[Tensor, "b c h w"], first: int, end: int, side: int) -> Float[Tensor, "b c n m"]:
    """The rows [first, end) with `side` columns more at either side; zeros where the image has none."""
    height = image.shape[2]
    return F.pad(image[:, :, max(0, first) : end], (side, side, max(0, -first), max(0, end - height)))


def _as_table(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b hw c"]:
    return image.flatten(2).transpose(1, 2).contiguous()


def _slice(cells: AxisCells, begin: int, end: int) -> AxisCells:
    return AxisCells(*(t[..., begin:end] for t in cells))


def _take(table: Float[Tensor, "b n *e"], index: Int[Tensor, "b q"]) -> Float[Tensor, "bq *e"]:
    """The rows `index` of all samples' tables laid one below the other."""
    return table.flatten(0, 1).index_select(0, index.flatten())


def _hidden(mlp: MLP, hidden: Float[Tensor, "q d"], place: Float[Tensor, "q 4"]) -> Float[Tensor, "q e"]:
    """What reaches the last layer of an MLP, given (and consumed) the features' share of its first."""
    hidden = hidden.addmm_(place.to(hidden.dtype), mlp.first.weight[:, -4:].T.to(hidden.dtype)).relu_()
    for layer in mlp.layers[2:-1]:
        hidden = layer(hidden)
    return hidden
