"""Gaussian noise as Real-ESRGAN and BSRGAN add it.

A plan holds the seed of a field; the field is exact for one version of NumPy.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from degradations.errors import RecipeError
from degradations.noise_fields import gaussian_fields
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Step
from degradations.values import Range, RangeSpec, draw_seed, probability


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
