"""What the steps share that work on batches of tensors, b 3 h w, RGB in about [0, 1]."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def through(value: Float[Tensor, "*n"], x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """`value` with the gradient of `x`: for roundings, whose own gradient is zero (Bengio et al., 2013)."""
    return value.detach() + (x - x.detach()) if x.requires_grad else value


def to_8bit_levels(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """[0, 1] to whole numbers 0..255, still float32; the gradient passes the rounding and stops where it clips."""
    levels = images.clamp(0, 1) * 255
    return through(levels.round(), levels)


def seeded(seed: int, device: torch.device) -> torch.Generator:
    """The generator of a noise field; its numbers are the same for one device and version of torch."""
    return torch.Generator(device).manual_seed(seed)


def mirrored(index: Int[Tensor, "*n"], n: int) -> Int[Tensor, "*n"]:
    """Any index into an axis of `n` pixels, mirrored at its ends without repeating them (OpenCV's reflect-101)."""
    period = max(2 * n - 2, 1)
    index = index.abs() % period
    return torch.minimum(index, period - index) if n > 1 else torch.zeros_like(index)
