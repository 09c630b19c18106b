"""Noise fields as tensors, on the device of the image that they are for; seed by seed the same on one device."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from degradations.pixels import LUMA
from degradations.registry import Params
from degradations.tensors import seeded, to_8bit_levels


def normal_field(seed: int, gray: bool, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "c h w"]:
    """White noise of variance one, of one channel where `gray`, else of as many as the image has."""
    channels, height, width = image.shape
    generator = seeded(seed, image.device)
    return torch.randn(1 if gray else channels, height, width, generator=generator, device=image.device)


def gaussian_fields(params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """The noise of "sigma_8bit", "gray", "seed" and, where there is one, "correlation", as `noise.gaussian_field`'s."""
    return torch.stack([_gaussian_field(p, image) for p, image in zip(params, images.detach(), strict=True)])


def _gaussian_field(params: Params, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    noise = normal_field(params["seed"], params["gray"], image).mul_(params["sigma_8bit"] / 255)
    if "correlation" in params:
        noise = torch.einsum("ij,jhw->ihw", image.new_tensor(params["correlation"]), noise)
    return noise.expand(image.shape)


def counted(image: Float[Tensor, "3 h w"], gray: bool) -> Float[Tensor, "c h w"]:
    """The image, or its luma where `gray`, in whole numbers 0..255."""
    return to_8bit_levels((image * image.new_tensor(LUMA)[:, None, None]).sum(0, keepdim=True) if gray else image)


@torch.no_grad()
def count_noise(
    eight_bit: Float[Tensor, "c h w"], levels: float | Float[Tensor, "1"], seed: int
) -> Float[Tensor, "c h w"]:
    """What a count of `levels` photons at white deviates from the image, in units of white.

    The law is that of `photon_noise.poisson_noise`: drawn exactly where 10 or fewer photons are expected, else by the normal
    expansion of Giles (2016), and nothing here waits for the device.
    """
    mean = eight_bit * (levels / 255)
    generator = seeded(seed, eight_bit.device)
    z = torch.randn(mean.shape, generator=generator, device=mean.device)
    # floor(mean + z root + (2 + z^2) / 6 - (2 z + z^3) / (72 root)), as a polynomial in z
    root = mean.clamp(min=1).sqrt_()
    last = root.reciprocal().mul_(-1 / 72)
    counts = (z * last).add_(1 / 6).mul_(z).add_(root).add_(last, alpha=2).mul_(z).add_(mean).add_(1 / 3).floor_()
    few = mean <= 10
    # where none are expected there is nothing to draw, which is quick
    counts = torch.where(few, torch.poisson(mean * few, generator), counts)
    return counts.sub_(mean).div_(levels)


def count_levels(eight_bit: Float[Tensor, "c h w"]) -> Float[Tensor, "1"]:
    """The number of distinct values among whole numbers 0..255, rounded up to a power of two."""
    seen = eight_bit.new_zeros(256).index_fill_(0, eight_bit.flatten().long(), 1)
    powers = 2 ** torch.arange(9, device=eight_bit.device)
    return powers[torch.searchsorted(powers, seen.sum().long().view(1))].to(eight_bit)
