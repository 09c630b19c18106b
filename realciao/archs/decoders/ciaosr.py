"""CiaoSR's decoder: continuous implicit attention-in-attention ("CiaoSR", CVPR 2023, Eqs. 4-7), as its released code
computes it.

A query at a continuous coordinate attends to the four cells around it. Keys and values are the cells' features, each
multiplied by what a small network makes of (features, place of the query relative to the cell, size of the HR pixel);
the values also hold the non-local features. The attended value becomes a colour in a third network.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from realciao.archs.cells import AxisCells, NeighbourRule, axis_cells
from realciao.archs.decoders.cross_scale_attention import CrossScaleAttention
from realciao.archs.mlp import MLP
from realciao.coords import Frame
from realciao.registry import ARCH_REGISTRY


class Prepared(NamedTuple):
    """What the decoder keeps of one image (or tile), one row an LR pixel."""

    frame: Frame
    size: tuple[int, int]
    """Height and width of the tile."""
    value: Float[Tensor, "b hw f"]
    """3x3 neighbourhoods of the features, which are also the keys and the query vectors; behind them the non-local features."""
    key_hidden: Float[Tensor, "b hw d"]
    """What the features contribute to the first layer of `imnet_k`."""
    value_hidden: Float[Tensor, "b hw d"]
    """Likewise for `imnet_v`."""
    logits: Float[Tensor, "b hw9 d1"] | None
    """If many queries will come: what a logit is in terms of the last hidden layer of `imnet_k`, for each of the nine cells
    around each cell (row-major), its constant term last."""


@ARCH_REGISTRY.register()
class CiaoSRDecoder(nn.Module):
    """Local implicit attention, with cross-scale non-local attention in its values.

    Args:
        feat_dim: channels of the encoder's map (given by the network).
        hidden: widths of the hidden layers of the three networks.
        non_local_scales: subset of {2, 3, 4}; empty for none.
        local_size: 2 for the four cells around a query, 1 for the nearest alone.
        neighbours: how the four cells are chosen, see `axis_cells`.
    """

    def __init__(
        self,
        feat_dim: int,
        hidden: tuple[int, ...] = (256, 256, 256, 256),
        non_local_scales: tuple[int, ...] = (2,),
        local_size: int = 2,
        neighbours: NeighbourRule = "published",
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden must be at least one positive width, got {list(hidden)}")
        if not set(non_local_scales) <= {2, 3, 4} or len(set(non_local_scales)) < len(non_local_scales):
            raise ValueError(f"non_local_scales must be different numbers out of 2, 3, 4, got {list(non_local_scales)}")
        if local_size not in (1, 2):
            raise ValueError(f"local_size must be 1 or 2, got {local_size}")
        # a query reads the neighbours of its cell, and each of them the cells around it
        self.reach_px = None if non_local_scales else local_size
        self.local_size = local_size
        self.neighbours: NeighbourRule = neighbours
        key_dim = 9 * feat_dim
        value_dim = key_dim + len(non_local_scales) * feat_dim
        self.imnet_q = MLP(value_dim, 3, hidden)
        self.imnet_k = MLP(key_dim + 4, key_dim, hidden)
        self.imnet_v = MLP(value_dim + 4, value_dim, hidden)
        self.cs_attn = CrossScaleAttention(feat_dim, non_local_scales) if non_local_scales else None

    def prepare(
        self, feat: Float[Tensor, "b c h w"], lq: Float[Tensor, "b 3 h w"], frame: Frame, dense: bool
    ) -> Prepared:
        """Computes all that depends on the image alone.

        The first layer of `imnet_k` and `imnet_v` is linear in the features, which do not depend on the query: its
        share is a convolution of the map, done here once a cell rather than once a query and neighbour.
        """
        _, c, h, w = feat.shape
        value = F.unfold(feat, 3, padding=1).transpose(1, 2).contiguous()
        first_k, first_v = self.imnet_k.first, self.imnet_v.first
        key_hidden = F.conv2d(feat, _as_conv(first_k.weight, c), first_k.bias, padding=1)
        value_hidden = F.conv2d(feat, _as_conv(first_v.weight, c), first_v.bias, padding=1)
        if self.cs_attn is not None:
            non_local = self.cs_attn(feat)
            value = torch.cat([value, _as_rows(non_local)], dim=2)
            value_hidden = value_hidden + F.conv2d(non_local, first_v.weight[:, 9 * c : -4, None, None])
        logits = self._logit_table(feat) if dense else None
        return Prepared(frame, (h, w), value, _as_rows(key_hidden), _as_rows(value_hidden), logits)

    def _logit_table(self, feat: Float[Tensor, "b c h w"]) -> Float[Tensor, "b hw9 d1"]:
        """The last layer of `imnet_k`, the key's gate and the product with the query, folded into one vector a pair of cells.

        With W and v the last layer's weight and bias and h its input, the logit of query cell q and neighbour n is
        <U_q, U_n * (W h + v)> = <W^T (U_q * U_n), h> + <v, U_q * U_n>. The neighbour is one of nine; and as U holds 3x3
        neighbourhoods, U_q * U_n is that of the map times its shifted self, so that W^T and v act as a convolution of it.
        """
        height, width = feat.shape[2:]
        last = self.imnet_k.last
        kernel = _as_conv(torch.cat([last.weight, last.bias[:, None]], dim=1).T, feat.shape[1])
        around = F.pad(feat, (1, 1, 1, 1))
        products = [feat * around[:, :, y : y + height, x : x + width] for y in range(3) for x in range(3)]
        return torch.cat([_as_rows(F.conv2d(product, kernel, padding=1)) for product in products], dim=1)

    def query(
        self, prepared: Prepared, coord: Float[Tensor, "b hq wq 2"], cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 hq wq"]:
        """Colours at any coordinates of the full image's frame."""
        b, hq, wq, _ = coord.shape
        ys, xs = self._cells(prepared, coord[..., 0].reshape(b, -1), coord[..., 1].reshape(b, -1), cell)
        return self._decode(prepared, ys, xs, cell).transpose(1, 2).reshape(b, 3, hq, wq)

    def query_grid(
        self, prepared: Prepared, ys: Float[Tensor, "hq"], xs: Float[Tensor, "wq"], cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 hq wq"]:
        """Colours on the grid of two axes of coordinates of the full image's frame."""
        b, hq, wq = len(cell), len(ys), len(xs)
        rows, columns = self._cells(prepared, ys.expand(b, hq), xs.expand(b, wq), cell)
        rows = AxisCells(*(t[..., :, None].expand(*t.shape, wq).flatten(-2) for t in rows))
        columns = AxisCells(*(t[..., None, :].expand(*t.shape[:-1], hq, wq).flatten(-2) for t in columns))
        return self._decode(prepared, rows, columns, cell).transpose(1, 2).reshape(b, 3, hq, wq)

    def _cells(
        self, prepared: Prepared, ys: Float[Tensor, "b n"], xs: Float[Tensor, "b m"], cell: Float[Tensor, "b 2"]
    ) -> tuple[AxisCells, AxisCells]:
        """The cells to read on either axis, as indices into the tile."""
        top, left, height, width = prepared.frame
        result = []
        for coord, extent, origin, n, size in (
            (ys, cell[:, 0], top, height, prepared.size[0]),
            (xs, cell[:, 1], left, width, prepared.size[1]),
        ):
            cells = axis_cells(coord, extent, n, self.neighbours, self.local_size)
            # a query whose cells lie outside the tile is the caller's error, but it must not read other memory
            nearest, neighbour = ((index - origin).clamp(0, size - 1) for index in cells[:2])
            result.append(AxisCells(nearest, neighbour, cells.offset))
        return result[0], result[1]

    def _decode(
        self, prepared: Prepared, ys: AxisCells, xs: AxisCells, cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b q 3"]:
        """Attention of q queries to their local_size ** 2 cells, then colour."""
        width = prepared.size[1]
        scale = cell * cell.new_tensor(prepared.frame[2:])  # 2 / s, in the units of the offsets
        scale = scale.to(prepared.value.dtype)[:, None].expand(-1, ys.nearest.shape[1], -1)
        centre = ys.nearest * width + xs.nearest
        logits, values = [], []
        for y, offset_y in zip(ys.neighbour, ys.offset, strict=True):
            for x, offset_x in zip(xs.neighbour, xs.offset, strict=True):
                index = y * width + x
                place = torch.cat([torch.stack([offset_y, offset_x], dim=-1).to(scale.dtype), scale], dim=-1)
                value = _take(prepared.value, index)
                hidden_k = _hidden(self.imnet_k, _take(prepared.key_hidden, index), place)
                which = (y - ys.nearest + 1) * 3 + (x - xs.nearest + 1)
                logits.append(self._logit(prepared, hidden_k, centre, value, which))
                hidden_v = _hidden(self.imnet_v, _take(prepared.value_hidden, index), place)
                values.append(value * self.imnet_v.last(hidden_v))
        weights = torch.stack(logits).softmax(dim=0)
        # a sum of products, not an einsum: that would be one tiny matrix product a query
        attended = sum(weight[..., None] * value for weight, value in zip(weights, values, strict=True))
        return self.imnet_q(attended)

    def _logit(
        self,
        prepared: Prepared,
        hidden_k: Float[Tensor, "b q d"],
        centre: Int[Tensor, "b q"],
        value: Float[Tensor, "b q f"],
        which: Int[Tensor, "b q"],
    ) -> Float[Tensor, "b q"]:
        """Product of query and gated key: of cell `centre` and, of the nine around it, cell `which`, whose value is given."""
        if prepared.logits is not None:
            height, width = prepared.size
            row = _take(prepared.logits, which * height * width + centre)
            return (row[..., :-1] * hidden_k).sum(dim=-1) + row[..., -1]
        key_dim = self.imnet_k.last.out_features
        query, key = _take(prepared.value, centre)[..., :key_dim], value[..., :key_dim]
        return (query * key * self.imnet_k.last(hidden_k)).sum(dim=-1)


def _as_rows(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b hw c"]:
    return image.flatten(2).transpose(1, 2).contiguous()


def _as_conv(weight: Float[Tensor, "d e"], channels: int) -> Float[Tensor, "d c 3 3"]:
    """The columns of a linear layer that read a 3x3 unfold (channel * 9 + place), as a convolution."""
    return weight[:, : 9 * channels].reshape(-1, channels, 3, 3)


def _take(table: Float[Tensor, "b hw e"], index: Int[Tensor, "b q"]) -> Float[Tensor, "b q e"]:
    """Row index[b, q] of table[b]."""
    b, hw, e = table.shape
    first_row = hw * torch.arange(b, device=index.device)[:, None]
    return table.reshape(b * hw, e).index_select(0, (index + first_row).flatten()).view(b, -1, e)


def _hidden(mlp: MLP, hidden: Float[Tensor, "b q d"], place: Float[Tensor, "b q 4"]) -> Float[Tensor, "b q e"]:
    """What reaches the last layer of an MLP whose first layer has the features' share already."""
    hidden = hidden + F.linear(place, mlp.first.weight[:, -4:])
    for layer in mlp.layers[1:-1]:
        hidden = layer(hidden)
    return hidden
