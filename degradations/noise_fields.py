"""Noise fields as tensors, on the device of the image that they are for; seed by seed the same on one device."""

import torch
from jaxtyping import Float
from torch import Tensor

from degradations.tensors import seeded, to_8bit_levels

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as OpenCV's


def normal_field(seed: int, gray: bool, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "c h w"]:
    """White noise of variance one, of one channel where `gray`, else of as many as the image has."""
    channels, height, width = image.shape
    generator = seeded(seed, image.device)
    return torch.randn(1 if gray else channels, height, width, generator=generator, device=image.device)


@torch.no_grad()
def photon_noise(image: Float[Tensor, "3 h w"], seed: int, gray: bool, min_levels: int) -> Float[Tensor, "c h w"]:
    """What a photon count deviates from the image in 8 bits, in units of white; where `gray`, from its luma.

    Levels and law are those of `noise.poisson_noise`: drawn exactly where 10 or fewer photons are expected, else by
    the normal expansion of Giles (2016), and nothing here waits for the device.
    """
    source = (image * image.new_tensor(LUMA)[:, None, None]).sum(0, keepdim=True) if gray else image
    eight_bit = to_8bit_levels(source)
    levels = count_levels(eight_bit).clamp(min=min_levels)
    mean = eight_bit * (levels / 255)
    generator = seeded(seed, image.device)
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
