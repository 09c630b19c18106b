"""What every metric is: one number for one image, measured on the 8-bit values that a file of it would hold."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, UInt8

from realciao.errors import UserError
from realciao.images.reading import from_float, size_text


class MetricUnavailable(UserError):  # noqa: N818  (it is no mistake of the user's)
    """A metric that cannot be had here, for want of a file or a library; other metrics can."""


class Metric(ABC):
    """A registered subclass is a metric; its command-line name is its class name in lower case.

    Attributes:
        lower_better: direction of the score.
        score_range: lowest and highest score, in words; "~" where no law holds it there.
        needs_gt: full-reference metrics need a ground truth of the prediction's size.
        compares_with: what else than a ground truth the prediction is held against, of any size: "lq", the image that was
            upscaled, or "sr", the same image by the same method at another scale.
        implementation: who computes it and how, e.g. "basicsr 1.4.2 calculate_psnr, Y, crop_border=4".
        smallest_px: the shortest side for which the implementation returns a number.
        smallest_sound_px: the shortest side for which that number means something.
    """

    lower_better: ClassVar[bool]
    score_range: ClassVar[str] = "unknown"
    needs_gt: ClassVar[bool]
    compares_with: ClassVar[Literal["lq", "sr"] | None] = None
    implementation: str
    smallest_px: int = 1
    smallest_sound_px: int = 1

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def sound(self, shape: tuple[int, ...]) -> bool:
        """Whether the score of an image of this (height, width, ...) is statistically meaningful."""
        return min(shape[:2]) >= self.smallest_sound_px

    def __call__(self, pred: Float[np.ndarray, "h w 3"], gt: Float[np.ndarray, "gt_h gt_w 3"] | None = None) -> float:
        """The score of RGB images in [0, 1]; nan where none exists (image too small, or flat).

        Both are clipped and rounded to 8 bits first, so that arrays score exactly as the files written from them.

        Args:
            pred: the image to score.
            gt: its ground truth, or what `compares_with` names.

        Raises:
            UserError: the second image is needed and missing, or the ground truth is of another size.
        """
        if self.compares_with and gt is None:
            raise UserError(f"{self.name} needs the {self.compares_with} image")
        if self.needs_gt and gt is None:
            raise UserError(f"{self.name} needs a ground truth")
        if self.needs_gt and gt is not None and gt.shape != pred.shape:
            raise UserError(
                f"{self.name}: the prediction is {size_text(pred.shape)} and the ground truth {size_text(gt.shape)}"
            )
        if min(pred.shape[:2]) < self.smallest_px:
            return float("nan")
        return float(self.measure(from_float(pred, np.uint8), None if gt is None else from_float(gt, np.uint8)))

    @abstractmethod
    def measure(self, pred: UInt8[np.ndarray, "h w 3"], gt: UInt8[np.ndarray, "gt_h gt_w 3"] | None) -> float:
        """The score of 8-bit RGB images that are large enough; `gt` has the shape of `pred`, and is there if needed.

        Where `compares_with` names another image, `gt` is that, of any size.
        """
