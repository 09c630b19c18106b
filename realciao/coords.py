"""Pixel-centre coordinates in [-1, 1], and how a size follows from a scale.

The convention (LIIF's): coordinates are (y, x); pixel i of n has its centre at -1 + (2 i + 1) / n. Index arithmetic on them is
float32 whatever the network computes in, so that every precision reads the same cells.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Frame = tuple[int, int, int, int]
"""(top, left, H, W): where a tile lies in the full image and how large that is, in LR pixels."""


def scaled_size(size: tuple[int, int], scale: float | tuple[float, float]) -> tuple[int, int]:
    """HR height and width of an LR image of `size` at `scale`, or at (scale_y, scale_x): max(1, round(n * s)) per axis."""
    scale_y, scale_x = scale if isinstance(scale, tuple) else (scale, scale)
    return max(1, round(size[0] * scale_y)), max(1, round(size[1] * scale_x))


def make_axis(n: int, device: torch.device | str | None = None) -> Float[Tensor, "n"]:
    """Centres of n pixels along one axis, in [-1, 1], float32."""
    return (1 - n) / n + (2 / n) * torch.arange(n, device=device).float()


def make_coord(size: tuple[int, int], device: torch.device | str | None = None) -> Float[Tensor, "h w 2"]:
    """Centres of the pixels of an image of `size`, as (y, x) in [-1, 1]."""
    axes = make_axis(size[0], device), make_axis(size[1], device)
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def make_cell(size: tuple[int, int], device: torch.device | str | None = None) -> Float[Tensor, "2"]:
    """Height and width of one pixel of an image of `size`, in the units of its coordinates."""
    return torch.tensor([2 / size[0], 2 / size[1]], device=device)


def scale_frame(frame: Frame, scale: int) -> Frame:
    """The frame in cells of a map that has `scale` cells per LR pixel, along an axis."""
    top, left, height, width = frame
    return top * scale, left * scale, height * scale, width * scale


def to_tile(coord: Float[Tensor, "*n 2"], frame: Frame, size: tuple[int, int]) -> Float[Tensor, "*n 2"]:
    """Coordinates of the full image's frame in that of a tile of `size`."""
    axes = zip(coord.unbind(dim=-1), frame[:2], frame[2:], size, strict=True)
    return torch.stack([(c + 1) * (full / n) - 2 * origin / n - 1 for c, origin, full, n in axes], dim=-1)
