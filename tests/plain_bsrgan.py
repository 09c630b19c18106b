"""The steps that BSRGAN's released degradation spends most of its time on, done as it does them.

An anisotropic Gaussian's density is asked of SciPy tap by tap, and a blur is a direct convolution by SciPy in float64.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import ndimage, stats


def anisotropic_kernel(size: int, variances: tuple[float, float], theta: float) -> Float[np.ndarray, "k k"]:
    """Gaussian whose covariance has these eigenvalues, the first of them along `theta` [rad]."""
    turn = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    covariance: Any = turn @ np.diag(variances) @ turn.T
    offset = np.arange(size) - size // 2
    kernel = np.array(
        [[stats.multivariate_normal.pdf([x, y], mean=[0, 0], cov=covariance) for x in offset] for y in offset]
    )
    return kernel / kernel.sum()


def convolve(image: Float[np.ndarray, "h w 3"], kernel: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "h w 3"]:
    """The blur, with a mirrored border."""
    return ndimage.convolve(image, kernel[:, :, None], mode="mirror")
