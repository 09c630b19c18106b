"""Noise of light itself: photons arrive in whole numbers, by Poisson's law."""

from abc import abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from degradations import noise_fields
from degradations.noise import field
from degradations.noise_fields import count_noise, counted
from degradations.pixels import to_8bit
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Step
from degradations.values import IntRange, Range, RangeSpec, draw_seed, happens, probability


class _PhotonNoise(Step):
    """Adds the noise of a photon count, then clips to [0, 1]; a subclass says how many photons are counted.

    Where "gray" is set, the luma is counted, and all three channels get its noise.
    """

    @classmethod
    @abstractmethod
    def noise(cls, params: Params, eight_bit: UInt8[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c"]:
        """What the count of an image in 8 bits deviates from it, in units of white."""

    @classmethod
    @abstractmethod
    def noise_field(cls, params: Params, eight_bit: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
        """`noise` in torch; the image is in whole numbers 0..255."""

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        source = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None] if params["gray"] else image
        return np.clip(image + cls.noise(params, to_8bit(source)), 0, 1)

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """As `apply`; the gradient is that of the sum, as if the noise did not depend on the image."""
        fields = [
            cls.noise_field(p, counted(image, p["gray"])).expand(image.shape)
            for p, image in zip(params, images.detach(), strict=True)
        ]
        return (images + torch.stack(fields)).clamp(0, 1)


@DEGRADATION_REGISTRY.register()
class PoissonNoise(_PhotonNoise):
    """Adds `scale` times the noise of a photon count, then clips to [0, 1].

    The image in 8 bits is counted with `levels` photons at white, so that the noise's variance at x is
    scale^2 x / levels. Levels is the number of distinct 8-bit values in the image, rounded up to a power of two.

    Args:
        scale: factor on the noise.
        gray_prob: probability that the three channels get the same noise, that of the luma.
        min_levels: fewest levels counted with. 1 is Real-ESRGAN's law, which drowns flat images in noise.
    """

    def __init__(self, scale: RangeSpec, gray_prob: float = 0.0, min_levels: RangeSpec = 1) -> None:
        self.scale = Range.parse("scale", scale, at_least=0)
        self.gray_prob = probability("gray_prob", gray_prob)
        self.min_levels = IntRange.parse("min_levels", min_levels, 1, 256)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        return {
            "scale": self.scale.draw(rng),
            "gray": happens(rng, self.gray_prob),
            "min_levels": self.min_levels.draw(rng),
            "seed": draw_seed(rng),
        }

    @classmethod
    def noise(cls, params: Params, eight_bit: UInt8[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c"]:
        levels = max(count_levels(eight_bit), params["min_levels"])
        noise = poisson_noise(eight_bit, levels, field(params["seed"]))
        noise *= np.float32(params["scale"])
        return noise

    @classmethod
    def noise_field(cls, params: Params, eight_bit: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
        levels = noise_fields.count_levels(eight_bit).clamp(min=params["min_levels"])
        return count_noise(eight_bit, levels, params["seed"]).mul_(params["scale"])


@DEGRADATION_REGISTRY.register()
class ShotNoise(_PhotonNoise):
    """Counts every pixel in photons, then clips to [0, 1]: the variance at x is x / photons (BSRGAN-plus).

    Args:
        photons: at white, drawn log-uniformly.
        gray_prob: probability that the three channels get the same noise, that of the luma.
    """

    def __init__(self, photons: RangeSpec, gray_prob: float = 0.0) -> None:
        self.photons = Range.parse("photons", photons, at_least=1, at_most=1e6)
        self.gray_prob = probability("gray_prob", gray_prob)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        return {
            "photons": self.photons.draw_log(rng),
            "gray": happens(rng, self.gray_prob),
            "seed": draw_seed(rng),
        }

    @classmethod
    def noise(cls, params: Params, eight_bit: UInt8[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c"]:
        return poisson_noise(eight_bit, params["photons"], field(params["seed"]))

    @classmethod
    def noise_field(cls, params: Params, eight_bit: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
        return count_noise(eight_bit, params["photons"], params["seed"])


def count_levels(eight_bit: UInt8[np.ndarray, "h w c"]) -> int:
    """The number of distinct values, rounded up to a power of two."""
    flat = eight_bit.reshape(len(eight_bit), -1)
    distinct = np.count_nonzero(cv2.calcHist([flat], [0], None, [256], [0, 256]))
    return 1 << (int(distinct) - 1).bit_length()


def poisson_noise(
    eight_bit: UInt8[np.ndarray, "h w c"], levels: float, rng: np.random.Generator
) -> Float[np.ndarray, "h w c"]:
    """What a count of `levels` photons at white deviates from the image, in units of white.

    Counts are drawn exactly where 10 or fewer are expected, else by the normal expansion of the inverse Poisson
    distribution to the order mean^-1/2 (Giles, "Algorithm 955", ACM TOMS 2016), which takes half the time: at a mean
    of 10 one count in some hundreds is off by one, above fewer.
    """
    mean = np.arange(256) * levels / 255
    root = np.sqrt(np.maximum(mean, 1))
    z = rng.standard_normal(eight_bit.shape, np.float32)
    # floor(mean + z root + (2 + z^2) / 6 - (2 z + z^3) / (72 root)), as a polynomial in z
    counts = z * _look_up(-1 / (72 * root), eight_bit)
    counts += np.float32(1 / 6)
    counts *= z
    counts += _look_up(root - 1 / (36 * root), eight_bit)
    counts *= z
    counts += _look_up(mean + 1 / 3, eight_bit)
    np.floor(counts, out=counts)
    few = eight_bit <= 10 * 255 / levels
    counts[few] = rng.poisson(mean[eight_bit[few]])
    counts -= _look_up(mean, eight_bit)
    counts /= np.float32(levels)
    return counts


def _look_up(table: Float[np.ndarray, "256"], eight_bit: UInt8[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c"]:
    return cv2.LUT(eight_bit, table.astype(np.float32)).reshape(eight_bit.shape)
