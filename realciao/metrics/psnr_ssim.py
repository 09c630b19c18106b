"""PSNR and SSIM by BasicSR, on RGB or on the Y of BT.601 in studio range, as super-resolution papers report them.

pyiqa's psnry and ssim differ from these (its default Y is YIQ's: 27.1 instead of 28.4 dB on bicubic Set5 x4).
SSIM is Wang et al. 2004: Gaussian window of 11 px, sigma 1.5, valid pixels only; RGB is the mean over the channels.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import ClassVar

import numpy as np
from basicsr.metrics import (
    calculate_psnr,
    calculate_ssim,
)  # importable once the package's __init__ has met the registry
from jaxtyping import UInt8

from realciao.metrics.metric import Metric
from realciao.registry import METRIC_REGISTRY


class BasicSRMetric(Metric):
    """A full-reference metric of BasicSR's.

    Args:
        crop_border: pixels left out at each edge.
    """

    lower_better = False
    needs_gt = True
    calculate: ClassVar[Callable[..., float]]
    on_y: ClassVar[bool] = False
    window_px: ClassVar[int] = 1

    def __init__(self, crop_border: int = 0) -> None:
        if crop_border < 0:
            raise ValueError(f"crop_border must not be negative, got {crop_border}")
        self.crop_border = crop_border
        self.smallest_px = self.window_px + 2 * crop_border
        self.implementation = (
            f"basicsr {version('basicsr')} {self.calculate.__name__}, {'Y' if self.on_y else 'RGB'}, "
            f"crop_border={crop_border}"
        )

    def measure(self, pred: UInt8[np.ndarray, "h w 3"], gt: UInt8[np.ndarray, "h w 3"] | None) -> float:
        # BasicSR takes BGR in [0, 255]; the order matters to Y only
        bgr = [np.ascontiguousarray(image[..., ::-1]) for image in (pred, gt) if image is not None]
        return self.calculate(*bgr, self.crop_border, test_y_channel=self.on_y)


@METRIC_REGISTRY.register()
class PSNR(BasicSRMetric):
    """Peak signal-to-noise ratio on RGB in dB; infinite for equal images."""

    score_range = "0, inf"
    calculate = staticmethod(calculate_psnr)


@METRIC_REGISTRY.register()
class PSNR_Y(PSNR):  # noqa: N801  (the name that the command line shows in lower case)
    """PSNR on Y."""

    on_y = True


@METRIC_REGISTRY.register()
class SSIM(BasicSRMetric):
    """Structural similarity, the mean over R, G and B; 1 for equal images."""

    score_range = "-1, 1"
    calculate = staticmethod(calculate_ssim)
    window_px = 11


@METRIC_REGISTRY.register()
class SSIM_Y(SSIM):  # noqa: N801
    """SSIM on Y."""

    on_y = True
