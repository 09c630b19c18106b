"""Tables of what the queries need of each LR pixel, computed once an image by convolution, and read by index."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from realciao.archs.mlp import MLP


def as_rows(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b hw c"]:
    """One row a pixel."""
    return image.flatten(2).transpose(1, 2).contiguous()


def as_flat_rows(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "bhw c"]:
    """One row a pixel, one image after the other."""
    return as_rows(image).flatten(0, 1)


def take(table: Float[Tensor, "b hw e"], index: Int[Tensor, "b q"]) -> Float[Tensor, "b q e"]:
    """Row index[b, q] of table[b]."""
    b, hw, e = table.shape
    first_row = hw * torch.arange(b, device=index.device)[:, None]
    return table.reshape(b * hw, e).index_select(0, (index + first_row).flatten()).view(b, -1, e)


def as_conv(weight: Float[Tensor, "d e"], channels: int, kernel: int = 3) -> Float[Tensor, "d c k k"]:
    """The columns of a linear layer that read a 3x3 unfold (channel * 9 + place), as a convolution."""
    return weight[:, : kernel**2 * channels].reshape(-1, channels, kernel, kernel)


def hidden_table(mlp: MLP, feat: Float[Tensor, "b c h w"]) -> Float[Tensor, "b hw d"]:
    """What each cell's 3x3 neighbourhood contributes to the first layer of an MLP, its bias included.

    The layer is linear in them and they do not depend on the query, so its share is a convolution of the map.
    """
    return as_rows(F.conv2d(feat, as_conv(mlp.first.weight, feat.shape[1]), mlp.first.bias, padding=1))


def after_table(mlp: MLP, hidden: Float[Tensor, "b q d"], rest: Float[Tensor, "b q e"]) -> Float[Tensor, "b q out"]:
    """The MLP's output where `hidden` is the share of the features, from `hidden_table`, and `rest` its other inputs."""
    hidden = hidden + F.linear(rest, mlp.first.weight[:, -rest.shape[-1] :])
    return mlp.last(mlp.activate(hidden))


def filter_table(feat: Float[Tensor, "b c h w"], last: nn.Linear) -> Float[Tensor, "b hw 3d1"]:
    """The colours that filters make of each cell's 3x3 neighbourhood, in terms of what predicts the filters.

    Where a linear layer gives the filters, 9 c x 3 numbers (input by input), of a hidden vector h, the filtered colour is
    <U, W h + v> = <U^T W, h> + <U, v> with U the unfolded features, so that W and v act as a convolution of the map: the
    filters themselves need not be made, query by query. Each row holds the vector and, behind it, the constant, for R, G, B.
    """
    channels = feat.shape[1]
    affine = torch.cat([last.weight, last.bias[:, None]], dim=1)
    kernel = affine.view(channels, 3, 3, 3, -1).permute(3, 4, 0, 1, 2).reshape(-1, channels, 3, 3)
    return as_rows(F.conv2d(feat, kernel, padding=1))


def filtered(rows: Float[Tensor, "b q 3d1"], hidden: Float[Tensor, "b q d"]) -> Float[Tensor, "b q 3"]:
    """The colours that rows of a `filter_table` give for hidden vectors."""
    rows = rows.view(*rows.shape[:2], 3, -1)
    # a sum of products: a matrix product would be one tiny one a query
    return (rows[..., :-1] * hidden[:, :, None]).sum(dim=-1) + rows[..., -1]
