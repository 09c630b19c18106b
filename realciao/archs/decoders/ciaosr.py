"""CiaoSR's decoder: continuous implicit attention-in-attention ("CiaoSR", CVPR 2023, Eqs. 4-7), as its released code
computes it.

A query at a continuous coordinate attends to the four cells around it. Keys and values are the cells' features, each
multiplied by what a small network makes of (features, place of the query relative to the cell, size of the HR pixel);
the values also hold the non-local features. The attended value becomes a colour in a third network.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from realciao.archs.cells import AxisCells, NeighbourRule, in_cells, tile_cells
from realciao.archs.decoders.cross_scale_attention import CrossScaleAttention
from realciao.archs.decoders.separable import SeparableDecoder
from realciao.archs.decoders.tables import as_conv, as_flat_rows
from realciao.archs.mlp import MLP, Widths
from realciao.coords import Frame
from realciao.registry import ARCH_REGISTRY

FORWARD_PLACES = ((0, 0), (0, 1), (1, -1), (1, 0), (1, 1))
"""The places (y, x) of a cell beside another, as far as they come after it in raster order, and the cell itself."""


class Tables(NamedTuple):
    """What the LR pixels of some rows contribute to the queries that read them, one row of each table an LR pixel; one image
    of the batch after the other."""

    value: Float[Tensor, "n f"]
    """Their features with those around them, which are also keys and query vectors; behind them the non-local features."""
    key_hidden: Float[Tensor, "n d"]
    """What the features contribute to the first layer of `imnet_k`."""
    value_hidden: Float[Tensor, "n d"]
    """Likewise for `imnet_v`."""
    logit: Float[Tensor, "n5 d"] | None
    """Where many queries come: for each of FORWARD_PLACES and each cell, the vector whose product with the last hidden
    layer of `imnet_k` is the logit of the pair of cells, whichever of the two holds the query."""
    logit_bias: Float[Tensor, "n5"] | None
    """What is added to the product."""


class Prepared(NamedTuple):
    """What the decoder keeps of one image (or tile)."""

    frame: Frame
    feat: Float[Tensor, "b c h w"]
    non_local: Float[Tensor, "b cm h w"] | None
    tables: Tables | None
    """Of all rows, where few queries will come; where many will, each band of a grid makes those of its rows, so that they
    do not grow with the image."""


class Around(NamedTuple):
    """Which rows of the tables the q queries of all images read: k cells each, the first of all, then the second of all, ..."""

    width: int
    """Of the map, in cells."""
    centre: Int[Tensor, "q"]
    """The cell that holds the query."""
    cells: Int[Tensor, "k q"]
    place: Float[Tensor, "kq 4"]
    """What the networks are told of it: offset to the query and size of the HR pixel, (y, x) both."""


@ARCH_REGISTRY.register()
class CiaoSRDecoder(SeparableDecoder):
    """Local implicit attention, with cross-scale non-local attention in its values.

    Args:
        feat_dim: channels of the encoder's map (given by the network).
        hidden: widths of the hidden layers of the three networks.
        non_local_scales: subset of {2, 3, 4}; empty for none.
        local_size: 2 for the four cells around a query, 1 for the nearest alone.
        neighbours: how the four cells are chosen, see `axis_cells`.
        nonlocal_window: edge, in LR pixels, of the windows of the image that the non-local attention keeps to, a common
            multiple of its scales; null for the whole image, at a cost that grows with the square of its pixels.
        feat_unfold: a cell is its 3x3 neighbourhood, or its own features alone.
        ensemble: the weights of the cells come from products of keys and query, or, as in the paper's Table 4 for want of
            attention, from `imnet_k` itself.
    """

    def __init__(
        self,
        feat_dim: int,
        hidden: Widths = (256, 256, 256, 256),
        non_local_scales: tuple[int, ...] = (2,),
        local_size: int = 2,
        neighbours: NeighbourRule = "published",
        nonlocal_window: int | None = None,
        feat_unfold: bool = True,
        ensemble: Literal["attention", "mlp"] = "attention",
    ) -> None:
        super().__init__()
        if not set(non_local_scales) <= {2, 3, 4} or len(set(non_local_scales)) < len(non_local_scales):
            raise ValueError(f"non_local_scales must be different numbers out of 2, 3, 4, got {list(non_local_scales)}")
        if local_size not in (1, 2):
            raise ValueError(f"local_size must be 1 or 2, got {local_size}")
        # a query reads the neighbours of its cell, and each of them the cells around it
        local = local_size - 1 + feat_unfold
        # and with them all of their windows
        self.reach_px = max(local, nonlocal_window or 0) if nonlocal_window or not non_local_scales else None
        self.local_size = local_size
        self.rule: NeighbourRule = neighbours
        self.kernel = 3 if feat_unfold else 1
        self.ensemble = ensemble
        self.key_dim = key_dim = self.kernel**2 * feat_dim
        value_dim = key_dim + len(non_local_scales) * feat_dim
        self.imnet_q = MLP(value_dim, 3, hidden)
        self.imnet_k = MLP(key_dim + 4, key_dim if ensemble == "attention" else 1, hidden)
        self.imnet_v = MLP(value_dim + 4, value_dim, hidden)
        self.cs_attn = CrossScaleAttention(feat_dim, non_local_scales, nonlocal_window) if non_local_scales else None

    def start_at_zero(self) -> None:
        """Makes every colour 0 until it is trained."""
        self.imnet_q.start_at_zero()

    def prepare(
        self, feat: Float[Tensor, "b c h w"], lq: Float[Tensor, "b 3 h w"], frame: Frame, dense: bool
    ) -> Prepared:
        """Computes what depends on the image alone; `dense` images want their queries as grids."""
        non_local = None if self.cs_attn is None else self.cs_attn(feat, frame)
        prepared = Prepared(frame, feat, non_local, None)
        return prepared if dense else prepared._replace(tables=self._tables(prepared, 0, feat.shape[2], dense))

    def locate(self, prepared: Prepared, axis: int, coord: Float[Tensor, "b n"], cell: Float[Tensor, "b"]) -> AxisCells:
        size = (prepared.feat.shape[2], prepared.feat.shape[3])
        return tile_cells(coord, cell, axis, prepared.frame, size, self.rule, self.local_size)

    def narrow(self, prepared: Prepared, rows: AxisCells) -> tuple[Prepared, AxisCells]:
        """With the tables of the LR rows that a band reads, if there are none yet."""
        if prepared.tables is not None:
            return prepared, rows
        read = torch.cat([rows.nearest[None], rows.neighbour])
        first, last = int(read.min()), int(read.max())
        tables = self._tables(prepared, first, last + 1, dense=True)
        return prepared._replace(tables=tables), AxisCells(rows.nearest - first, rows.neighbour - first, rows.offset)

    def _tables(self, prepared: Prepared, first: int, end: int, dense: bool) -> Tables:
        """The tables of the rows [first, end).

        The first layer of `imnet_k` and `imnet_v` is linear in the features, which do not depend on the query: its
        share is a convolution of the map, done here once a cell rather than once a query and neighbour.
        """
        channels, reach = prepared.feat.shape[1], self.kernel // 2
        around = _rows(prepared.feat, first - reach, end + reach, reach)
        first_k, first_v = self.imnet_k.first, self.imnet_v.first
        value = F.unfold(around, self.kernel).transpose(1, 2).flatten(0, 1)
        key_hidden = F.conv2d(around, as_conv(first_k.weight, channels, self.kernel), first_k.bias)
        value_hidden = F.conv2d(around, as_conv(first_v.weight, channels, self.kernel), first_v.bias)
        if prepared.non_local is not None:
            non_local = prepared.non_local[:, :, first:end]
            value_hidden = value_hidden + F.conv2d(non_local, first_v.weight[:, self.key_dim : -4, None, None])
            value = torch.cat([value, as_flat_rows(non_local)], dim=1)
        logit = logit_bias = None
        if dense and self.ensemble == "attention":
            logit, logit_bias = self._logit_tables(prepared.feat, first, end)
        return Tables(value.contiguous(), as_flat_rows(key_hidden), as_flat_rows(value_hidden), logit, logit_bias)

    def _logit_tables(
        self, feat: Float[Tensor, "b c h w"], first: int, end: int
    ) -> tuple[Float[Tensor, "n5 d"], Float[Tensor, "n5"]]:
        """The last layer of `imnet_k`, the key's gate and the product with the query, folded into one vector a pair of cells.

        With W and v the last layer's weight and bias and h its input, the logit of query cell q and neighbour n is
        <U_q, U_n * (W h + v)> = <W^T (U_q * U_n), h> + <v, U_q * U_n>. The neighbour is one of nine; and as U holds 3x3
        neighbourhoods, U_q * U_n is that of the map times its shifted self, so that W^T and v act as a convolution of it.
        """
        last = self.imnet_k.last
        kernels = [as_conv(part, feat.shape[1], self.kernel) for part in (last.weight.T, last.bias[None])]
        reach = self.kernel // 2
        around = _rows(feat, first - reach, end + reach + 1, reach + 1)
        height, width = around.shape[2] - 1, around.shape[3] - 2
        middle = around[:, :, :height, 1 : 1 + width]
        products = [middle * around[:, :, y : y + height, 1 + x : 1 + x + width] for y, x in FORWARD_PLACES]
        weight, bias = (torch.cat([as_flat_rows(F.conv2d(one, kernel)) for one in products]) for kernel in kernels)
        return weight, bias[:, 0]

    def decode(
        self, prepared: Prepared, rows: AxisCells, columns: AxisCells, cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b q 3"]:
        """Attention of q queries to the k = local_size ** 2 cells around each, then colour."""
        tables, around = self._read(prepared, rows, columns, cell)
        values = self._values(tables, around)
        weights = self._weigh(tables, around, values)
        hidden = _hidden(self.imnet_v, tables.value_hidden, around)
        terms = zip(values, hidden.view(*weights.shape, -1), weights, strict=True)
        # one cell after the other: what is as wide as the values would not stay in the cache for four
        value, *first = next(terms)
        attended = value * _weighted(self.imnet_v.last, *first)
        for value, *further in terms:
            attended = attended.addcmul_(value, _weighted(self.imnet_v.last, *further))
        return self.imnet_q(attended).view(cell.shape[0], -1, 3)

    def weigh(
        self, prepared: Prepared, rows: AxisCells, columns: AxisCells, cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "k b q"]:
        """How much each of a query's cells counts, row by row of cells; the weights of a query sum to 1."""
        tables, around = self._read(prepared, rows, columns, cell)
        return self._weigh(tables, around, self._values(tables, around)).unflatten(1, (len(cell), -1))

    def _read(
        self, prepared: Prepared, rows: AxisCells, columns: AxisCells, cell: Float[Tensor, "b 2"]
    ) -> tuple[Tables, Around]:
        """The tables, and which of their rows the queries read."""
        tables = prepared.tables or self._tables(prepared, 0, prepared.feat.shape[2], dense=True)
        width = prepared.feat.shape[3]
        batch = cell.shape[0]  # not len(): in a graph for all sizes that would be a constant
        image = torch.arange(batch, device=cell.device) * (tables.value.shape[0] // batch)
        centre = rows.nearest * width + columns.nearest + image[:, None]
        cells = (rows.neighbour * width + image[:, None])[:, None] + columns.neighbour  # row by row of cells
        scale = in_cells(cell, prepared.frame).T[:, :, None]
        place = (rows.offset[:, None], columns.offset, *scale)
        place = torch.stack([part.expand_as(cells) for part in place], dim=-1).to(prepared.feat.dtype)
        return tables, Around(width, centre.flatten(), cells.view(-1, centre.numel()), place.view(-1, 4))

    def _values(self, tables: Tables, around: Around) -> Iterable[Float[Tensor, "q f"]]:
        """Those of the queries' cells, one cell after the other; kept where the weights need them, too."""
        values = (tables.value.index_select(0, index) for index in around.cells)
        return values if tables.logit is not None else list(values)

    def _weigh(self, tables: Tables, around: Around, values: Iterable[Float[Tensor, "q f"]]) -> Float[Tensor, "k q"]:
        hidden = _hidden(self.imnet_k, tables.key_hidden, around)
        if self.ensemble == "mlp":
            logits = self.imnet_k.last(hidden)
        elif tables.logit is None or tables.logit_bias is None:
            query = tables.value.index_select(0, around.centre)[:, : self.key_dim]
            keys = zip(values, hidden.view(*around.cells.shape, -1), strict=True)
            products = [query * value[:, : self.key_dim] * self.imnet_k.last(h) for value, h in keys]
            logits = torch.stack([product.sum(dim=-1) for product in products])
        else:
            slot = _slot(around.centre, around.cells, around.width)
            row = (slot * len(tables.value) + torch.minimum(around.centre, around.cells)).flatten()
            logits = tables.logit.index_select(0, row).mul_(hidden).sum(dim=-1) + tables.logit_bias.index_select(0, row)
        return logits.view_as(around.cells).softmax(dim=0)


def _slot(one: Int[Tensor, "q"], other: Int[Tensor, "k q"], width: int) -> Int[Tensor, "k q"]:
    """Which of FORWARD_PLACES the later of two cells takes beside the earlier, in a map of that width."""
    down = other // width - one // width
    along = other % width - one % width
    return torch.where(down == 0, along.abs(), 3 + along * down)


def _rows(image: Float[Tensor, "b c h w"], first: int, end: int, side: int) -> Float[Tensor, "b c n m"]:
    """The rows [first, end) with `side` columns more at either side; zeros where the image has none."""
    height = image.shape[2]
    return F.pad(image[:, :, max(0, first) : end], (side, side, max(0, -first), max(0, end - height)))


def _hidden(mlp: MLP, table: Float[Tensor, "n d"], around: Around) -> Float[Tensor, "kq e"]:
    """What reaches the last layer of an MLP, given the features' share of its first."""
    hidden = table.index_select(0, around.cells.flatten())
    return mlp.activate(hidden.addmm_(around.place, mlp.first.weight[:, -4:].T.to(hidden.dtype)))


def _weighted(layer: nn.Linear, x: Float[Tensor, "q d"], weight: Float[Tensor, "q"]) -> Float[Tensor, "q e"]:
    """`layer(x)` times the weights, which the narrower side takes; the bias then is one column more of the product."""
    affine = torch.cat([layer.weight, layer.bias[:, None]], dim=1)
    weight = weight[:, None].to(x.dtype)
    return F.linear(torch.cat([x * weight, weight], dim=1), affine)
