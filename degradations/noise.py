"""Noise as Real-ESRGAN and BSRGAN add it. A plan holds the seed of a field; the field is exact for one version of NumPy."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from degradations.errors import RecipeError
from degradations.noise_fields import count_noise, counted, gaussian_fields, photon_noise
from degradations.pixels import to_8bit
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Step
from degradations.values import IntRange, Range, RangeSpec, draw_seed, happens, probability


@DEGRADATION_REGISTRY.register()
class GaussianNoise(Step):
    """Adds white Gaussian noise, then clips to [0, 1].

    Args:
        sigma_8bit: standard deviation in 8-bit levels (1/255).
        gray_prob: probability that the three channels get the same noise.
        correlated_prob: probability that the channels are correlated, by a covariance drawn as BSRGAN's is; the plan
            then holds its root, F, under "correlation", and the noise is sigma F z with z white.
        correlated_sigma_8bit: sigma in that case; None for the one that `sigma_8bit` draws. BSRGAN has 25.
    """

    def __init__(
        self,
        sigma_8bit: RangeSpec,
        gray_prob: float = 0.0,
        correlated_prob: float = 0.0,
        correlated_sigma_8bit: RangeSpec | None = None,
    ) -> None:
        self.sigma_8bit = Range.parse("sigma_8bit", sigma_8bit, at_least=0, at_most=255)
        self.gray_prob = probability("gray_prob", gray_prob)
        self.correlated_prob = probability("correlated_prob", correlated_prob)
        if self.gray_prob + self.correlated_prob > 1 + 1e-9:
            raise RecipeError("correlated_prob", f"with gray_prob sums to {gray_prob + correlated_prob:g}, above 1")
        self.correlated_sigma_8bit = self.sigma_8bit
        if correlated_sigma_8bit is not None:
            self.correlated_sigma_8bit = Range.parse("correlated_sigma_8bit", correlated_sigma_8bit, 0, 255)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        params: Params = {"sigma_8bit": self.sigma_8bit.draw(rng)}
        kind = rng.random()
        params["gray"] = bool(kind < self.gray_prob)
        if self.gray_prob <= kind < self.gray_prob + self.correlated_prob:
            if self.correlated_sigma_8bit is not self.sigma_8bit:
                params["sigma_8bit"] = self.correlated_sigma_8bit.draw(rng)
            params["correlation"] = draw_correlation(rng)
        return {**params, "seed": draw_seed(rng)}

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        return np.clip(image + gaussian_field(params, image.shape[:2]), 0, 1)

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        return (images + gaussian_fields(params, images)).clamp(0, 1)


@DEGRADATION_REGISTRY.register()
class SpeckleNoise(GaussianNoise):
    """Multiplies by 1 + Gaussian noise and clips to [0, 1]: the standard deviation at x is x sigma.

    The keys are GaussianNoise's; sigma is that at white.
    """

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        image = np.clip(image, 0, 1)
        return np.clip(image + image * gaussian_field(params, image.shape[:2]), 0, 1)

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        images = images.clamp(0, 1)
        return (images + images * gaussian_fields(params, images)).clamp(0, 1)


@DEGRADATION_REGISTRY.register()
class PoissonNoise(Step):
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
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        source = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None] if params["gray"] else image
        eight_bit = to_8bit(source)
        levels = max(count_levels(eight_bit), params["min_levels"])
        noise = poisson_noise(eight_bit, levels, field(params["seed"]))
        noise *= np.float32(params["scale"])
        return np.clip(image + noise, 0, 1)

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """As `apply`; the gradient is that of the sum, as if the noise did not depend on the image."""
        noise = [
            photon_noise(image, p["seed"], p["gray"], p["min_levels"]).mul_(p["scale"])
            for p, image in zip(params, images.detach(), strict=True)
        ]
        return (images + torch.stack([n.expand(images.shape[1:]) for n in noise])).clamp(0, 1)


@DEGRADATION_REGISTRY.register()
class ShotNoise(Step):
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
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        source = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None] if params["gray"] else image
        return np.clip(image + poisson_noise(to_8bit(source), params["photons"], field(params["seed"])), 0, 1)

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """As `apply`; the gradient is that of the sum, as if the noise did not depend on the image."""
        noise = [
            count_noise(counted(image, p["gray"]), p["photons"], p["seed"])
            for p, image in zip(params, images.detach(), strict=True)
        ]
        return (images + torch.stack([n.expand(images.shape[1:]) for n in noise])).clamp(0, 1)


def draw_correlation(rng: np.random.Generator) -> list[list[float]]:
    """The symmetric root F of a covariance matrix of the three channels: F F^T = |U^T D U|, entry by entry.

    D is diagonal and uniform in [0, 1], U an orthonormal basis of the columns of a matrix of such numbers (BSRGAN).
    A 3 x 3 covariance stays one when its entries are made positive.
    """
    eigenvalues, basis = rng.random(3), np.linalg.svd(rng.random((3, 3)))[0]
    values, vectors = np.linalg.eigh(np.abs(basis.T * eigenvalues @ basis))
    return ((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T).tolist()


def gaussian_field(params: Params, size: tuple[int, int]) -> Float[np.ndarray, "h w c"]:
    """The noise of "sigma_8bit", "gray", "seed" and, where there is one, "correlation"; one channel where gray."""
    noise = field(params["seed"]).standard_normal((*size, 1 if params["gray"] else 3), np.float32)
    if "correlation" in params:
        noise = noise @ np.array(params["correlation"], np.float32).T
    noise *= np.float32(params["sigma_8bit"] / 255)
    return noise


def field(seed: int) -> np.random.Generator:
    """The generator of a noise field."""
    return np.random.Generator(np.random.SFC64(seed))


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
