"""Does a result agree with the image that it was made of, and with itself at another scale? Neither needs a ground truth.

Both are PSNR on RGB after the larger image has been brought to the size of the smaller by MATLAB's bicubic resize. A method
that invents detail can be consistent; one that shifts, tints or denoises is not.
"""

import numpy as np
from basicsr.metrics import calculate_psnr
from jaxtyping import UInt8

from realciao.images.matlab_resize import resize_levels
from realciao.metrics.metric import Metric
from realciao.registry import METRIC_REGISTRY


class Consistency(Metric):
    """PSNR of the larger of two images, made smaller, against the smaller."""

    lower_better = False
    score_range = "0, inf"
    needs_gt = False
    implementation = "PSNR on RGB after MATLAB's bicubic resize of the larger image, 8 bit"

    def measure(self, pred: UInt8[np.ndarray, "h w 3"], gt: UInt8[np.ndarray, "gt_h gt_w 3"] | None) -> float:
        assert gt is not None
        small, large = sorted((pred, gt), key=lambda image: image.shape[0] * image.shape[1])
        return float(calculate_psnr(resize_levels(large, small.shape[:2], "final"), small, crop_border=0))


@METRIC_REGISTRY.register()
class LR_Consistency(Consistency):  # noqa: N801  (the name that the command line shows in lower case)
    """The result, made as small as the LR image, against the LR image."""

    compares_with = "lq"


@METRIC_REGISTRY.register()
class Scale_Consistency(Consistency):  # noqa: N801
    """The result against the same method's result of the same image at another scale."""

    compares_with = "sr"
