"""Noise fields on tensors: from a plan's seed, bit for bit for one kind of device; NumPy's are other draws of the same law."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from degradations.registry import Params


def normal_fields(params: Sequence[Params], channels: int, like: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b c h w"]:
    """Standard normal noise for every image of a batch, each from the "seed" of its own parameters."""
    size = (channels, *like.shape[-2:])
    fields = [torch.randn(size, generator=generator(p, like.device), device=like.device) for p in params]
    return torch.stack(fields).to(like.dtype)


def generator(params: Params, device: torch.device) -> torch.Generator:
    """The generator of the field of one image."""
    return torch.Generator(device).manual_seed(params["seed"])


def per_image(params: Sequence[Params], key: str, like: Tensor) -> Float[Tensor, "b 1 1 1"]:
    """One number of each image's parameters, ready to act on the batch."""
    return like.new_tensor([float(p[key]) for p in params])[:, None, None, None]
