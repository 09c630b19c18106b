"""What lies around a plain decoder, point by point: mean and standard deviation, the encoder, the bilinear residual."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

PlainDecode = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From features b c h w, places b q 2 and cell b 2 to colours b q 3."""


def plain_network(net: torch.nn.Module, lq: Tensor, coord: Tensor, cell: Tensor, decode: PlainDecode) -> Tensor:
    """RGB, b q 3, at coord, b q 2; not clamped."""
    lq = (lq - net.mean) / net.std
    colours = decode(net.encoder(lq), coord, cell)
    if net.res:
        exact = torch.promote_types(lq.dtype, torch.float32)
        grid = coord.flip(-1)[:, None].to(exact)
        residual = F.grid_sample(lq.to(exact), grid, mode="bilinear", padding_mode="border", align_corners=False)
        colours = colours + residual[:, :, 0].transpose(1, 2)
    return colours * net.std.view(3) + net.mean.view(3)


def plain_grid(lq: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The places, b q 2, of all pixels of an image of `size`, row by row, and its cell, b 2."""
    axes = (-1 + 1 / n + 2 / n * torch.arange(n, device=lq.device).float() for n in size)
    coord = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).view(1, -1, 2)
    cell = torch.tensor([[2 / n for n in size]], device=lq.device)
    return coord.expand(len(lq), -1, -1), cell.expand(len(lq), -1)


def plain_image(net: torch.nn.Module, lq: Tensor, size: tuple[int, int], decode: PlainDecode) -> Tensor:
    """The whole image, b 3 H W, clamped to [0, 1]."""
    colours = plain_network(net, lq, *plain_grid(lq, size), decode)
    return colours.transpose(1, 2).reshape(len(lq), 3, *size).clamp(0, 1)
