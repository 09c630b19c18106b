"""Blurs of a moving camera and of a lens out of focus."""

import math

import numpy as np
from jaxtyping import Float

from degradations import kernels
from degradations.blur import MAX_KERNEL_SIZE, KernelBlur
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params
from degradations.values import Range, RangeSpec, ScaleRange, ScaleRangeSpec


@DEGRADATION_REGISTRY.register()
class MotionBlur(KernelBlur):
    """Motion along a straight line at even speed, as of a hand that shakes during the exposure.

    Args:
        length_px: of the stroke. May depend on the scale.
        angle_deg: of the stroke, clockwise from the right as the image is seen; it is the same at 180 more.
    """

    def __init__(self, length_px: ScaleRangeSpec, angle_deg: RangeSpec = (0, 180)) -> None:
        self.length_px = ScaleRange.parse("length_px", length_px, at_least=0, at_most=MAX_KERNEL_SIZE - 1)
        self.angle_deg = Range.parse("angle_deg", angle_deg, at_least=-360, at_most=360)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        return {"length_px": self.length_px.draw(rng, frame.scale), "angle_deg": self.angle_deg.draw(rng)}

    @classmethod
    def kernel(cls, params: Params) -> Float[np.ndarray, "k k"]:
        return kernels.motion(params["length_px"], math.radians(params["angle_deg"]))


@DEGRADATION_REGISTRY.register()
class DefocusBlur(KernelBlur):
    """A lens out of focus: every point becomes an evenly lit disk with a soft edge of a pixel.

    Args:
        radius_px: of the disk; half a pixel and less changes nothing. May depend on the scale.
    """

    def __init__(self, radius_px: ScaleRangeSpec) -> None:
        self.radius_px = ScaleRange.parse("radius_px", radius_px, at_least=0, at_most=MAX_KERNEL_SIZE // 2)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        return {"radius_px": self.radius_px.draw(rng, frame.scale)}

    @classmethod
    def kernel(cls, params: Params) -> Float[np.ndarray, "k k"]:
        return kernels.disk(params["radius_px"])
