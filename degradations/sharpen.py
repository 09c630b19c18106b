"""Sharpening of the target."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from degradations.filtering import correlate_axes, stack_kernels
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Step
from degradations.values import IntRange, Range, RangeSpec, number


@DEGRADATION_REGISTRY.register()
class USM(Step):
    """Unsharp masking where the detail is strong, blended in by a softened mask (Real-ESRGAN's target).

    Args:
        kernel_size: of the Gaussian, odd, [low, high]. Its sigma follows by OpenCV's rule: 51 gives 8.0 px.
        weight: how much of the detail is added.
        threshold_8bit: detail below this many 8-bit levels is left as it is.
    """

    def __init__(self, kernel_size: RangeSpec, weight: RangeSpec, threshold_8bit: float) -> None:
        self.kernel_size = IntRange.parse("kernel_size", kernel_size, 3, 255, odd=True)
        self.weight = Range.parse("weight", weight, at_least=0)
        self.threshold_8bit = number("threshold_8bit", threshold_8bit, 0, 255)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        return {
            "kernel_size": self.kernel_size.draw(rng),
            "weight": self.weight.draw(rng),
            "threshold_8bit": self.threshold_8bit,
        }

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        window = (params["kernel_size"],) * 2
        detail = image - cv2.GaussianBlur(image, window, 0)
        mask = (np.abs(detail) > params["threshold_8bit"] / 255).astype(np.float32)
        soft_mask = cv2.GaussianBlur(mask, window, 0)
        sharp = np.clip(image + np.float32(params["weight"]) * detail, 0, 1)
        return image + soft_mask * (sharp - image)

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        taps = stack_kernels([cv2.getGaussianKernel(p["kernel_size"], 0)[:, 0] for p in params], images)
        weight, threshold = (
            images.new_tensor([p[key] for p in params]).view(-1, 1, 1, 1) for key in ("weight", "threshold_8bit")
        )
        detail = images - correlate_axes(images, taps, taps)
        mask = detail.detach().abs().gt_(threshold / 255)
        return images.lerp(torch.addcmul(images, detail, weight).clamp(0, 1), correlate_axes(mask, taps, taps))
