"""Blurs: each step draws the parameters of a kernel; filtering is the same for all. Borders are mirrored."""

import math
from abc import abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from degradations import kernels
from degradations.errors import RecipeError
from degradations.filtering import correlate_batch
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Step
from degradations.values import IntRange, Range, RangeSpec, ScaleRange, ScaleRangeSpec, flag, happens

MAX_KERNEL_SIZE = 101
MIN_SIGMA_PX = 0.01
"""Of a Gaussian that is drawn narrower, for what divides by it; from about 0.2 px downwards all change nothing."""


class KernelBlur(Step):
    """Base of the blurs: a subclass says how its parameters become a kernel."""

    @classmethod
    @abstractmethod
    def kernel(cls, params: Params) -> Float[np.ndarray, "k k"]:
        """The kernel that `params` describe."""

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        return correlate(image, cls.kernel(params))

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        return correlate_batch(images, [cls.kernel(p) for p in params])


@DEGRADATION_REGISTRY.register()
class GaussianBlur(KernelBlur):
    """Gaussian blur.

    Args:
        kernel_size: odd, [low, high].
        sigma_px: standard deviation; where not isotropic it is drawn for each axis, and the axes are turned at random.
            May depend on the scale.
        isotropic: the same in all directions.
        variance_px2: instead of `sigma_px`, its square: drawn uniformly, as eigenvalues of covariances are in BSRGAN.
    """

    def __init__(
        self,
        kernel_size: RangeSpec,
        sigma_px: ScaleRangeSpec | None = None,
        isotropic: bool = True,
        variance_px2: ScaleRangeSpec | None = None,
    ) -> None:
        if (sigma_px is None) == (variance_px2 is None):
            raise RecipeError("sigma_px", "give it or `variance_px2`, one of the two")
        self.kernel_size = IntRange.parse("kernel_size", kernel_size, 1, MAX_KERNEL_SIZE, odd=True)
        self.sigma_px = None if sigma_px is None else ScaleRange.parse("sigma_px", sigma_px, at_least=0)
        self.variance_px2 = None if variance_px2 is None else ScaleRange.parse("variance_px2", variance_px2, at_least=0)
        self.isotropic = flag("isotropic", isotropic)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        size, sigma_x = self.kernel_size.draw(rng), self._draw_sigma(rng, frame.scale)
        if self.isotropic:
            return {"kernel_size": size, "sigma_px": [sigma_x, sigma_x], "theta": 0.0}
        sigma_y, theta = self._draw_sigma(rng, frame.scale), float(rng.uniform(-math.pi, math.pi))
        return {"kernel_size": size, "sigma_px": [sigma_x, sigma_y], "theta": theta}

    def _draw_sigma(self, rng: np.random.Generator, scale: float) -> float:
        if self.variance_px2:
            return max(MIN_SIGMA_PX, math.sqrt(self.variance_px2.draw(rng, scale)))
        assert self.sigma_px is not None
        return max(MIN_SIGMA_PX, self.sigma_px.draw(rng, scale))

    @classmethod
    def kernel(cls, params: Params) -> Float[np.ndarray, "k k"]:
        return kernels.gaussian(params["kernel_size"], params["sigma_px"], params["theta"])


class _ShapedBlur(GaussianBlur):
    """A blur whose exponent `beta` is drawn by a coin flip from [low, 1] or from [1, high].

    Where it is drawn `twice`, it is uniform in [low, high] and then again between that and 1, as in MMEditing.
    """

    def __init__(
        self,
        kernel_size: RangeSpec,
        sigma_px: ScaleRangeSpec,
        beta: RangeSpec,
        isotropic: bool = True,
        twice: bool = False,
    ) -> None:
        super().__init__(kernel_size, sigma_px, isotropic)
        self.twice = flag("twice", twice)
        self.beta = Range.parse("beta", beta, at_least=0.1, at_most=16)
        if not self.beta.low <= 1 <= self.beta.high:
            raise RecipeError("beta", f"must be a range around 1, got {beta!r}")

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        params = super().sample(rng, frame)
        if self.twice:
            return {**params, "beta": 1 + (self.beta.draw(rng) - 1) * float(rng.random())}
        side = (self.beta.low, 1) if happens(rng, 0.5) else (1, self.beta.high)
        return {**params, "beta": float(rng.uniform(*side))}


@DEGRADATION_REGISTRY.register()
class GeneralizedGaussianBlur(_ShapedBlur):
    """Blur with a generalised Gaussian, exp(-q^beta / 2); GaussianBlur's keys, `beta`, a range around 1, and `twice`."""

    @classmethod
    def kernel(cls, params: Params) -> Float[np.ndarray, "k k"]:
        return kernels.generalized_gaussian(params["kernel_size"], params["sigma_px"], params["theta"], params["beta"])


@DEGRADATION_REGISTRY.register()
class PlateauBlur(_ShapedBlur):
    """Blur with a plateau kernel, 1 / (1 + q^beta); GaussianBlur's keys, `beta`, a range around 1, and `twice`."""

    @classmethod
    def kernel(cls, params: Params) -> Float[np.ndarray, "k k"]:
        return kernels.plateau(params["kernel_size"], params["sigma_px"], params["theta"], params["beta"])


@DEGRADATION_REGISTRY.register()
class SincBlur(KernelBlur):
    """Ideal low-pass filter, cut off by the kernel's edge: ringing and overshoot as of sharpening in cameras.

    Args:
        kernel_size: odd, [low, high].
        cutoff: cut-off frequency as a fraction of the highest there is (pi rad/px).
    """

    def __init__(self, kernel_size: RangeSpec, cutoff: RangeSpec) -> None:
        self.kernel_size = IntRange.parse("kernel_size", kernel_size, 3, MAX_KERNEL_SIZE, odd=True)
        self.cutoff = Range.parse("cutoff", cutoff, at_least=0.05, at_most=1)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        return {"kernel_size": self.kernel_size.draw(rng), "cutoff": self.cutoff.draw(rng)}

    @classmethod
    def kernel(cls, params: Params) -> Float[np.ndarray, "k k"]:
        return kernels.sinc(params["kernel_size"], params["cutoff"] * math.pi)


def correlate(image: Float[np.ndarray, "h w 3"], kernel: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "h w 3"]:
    """Correlates every channel with the kernel (not flipped), the border mirrored without repeating the edge."""
    kernel = kernels.trim(kernel)
    if len(kernel) == 1:
        return image
    if factors := kernels.separate(kernel):  # two cheap passes
        column, row = factors
        return cv2.sepFilter2D(image, -1, row, column, borderType=cv2.BORDER_REFLECT_101)
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
