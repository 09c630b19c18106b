"""Lossy compression through the real codecs, by way of OpenCV; every step clips to [0, 1] and rounds to 8 bits first."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from degradations.errors import RecipeError
from degradations.jpeg import jpeg
from degradations.pixels import from_8bit, to_8bit
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Step
from degradations.values import IntRange, RangeSpec, names

SUBSAMPLING = {
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
}


@DEGRADATION_REGISTRY.register()
class JPEG(Step):
    """Writes and reads a JPEG.

    Args:
        quality: whole number from 0 to 100, as libjpeg counts it; 0 is the same as 1.
        subsampling: of the chroma: "4:4:4" (none), "4:2:2" (half the columns) or "4:2:0" (half the rows as well), or a
            list of them to draw from with equal chances.
    """

    def __init__(self, quality: RangeSpec, subsampling: str | list[str] = "4:2:0") -> None:
        self.quality = IntRange.parse("quality", quality, 0, 100)
        if isinstance(subsampling, int) or any(isinstance(name, int) for name in subsampling):
            raise RecipeError("subsampling", 'needs quotes, "4:2:0": without them YAML reads a number')
        self.subsampling = names("subsampling", subsampling, tuple(SUBSAMPLING))

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        quality = self.quality.draw(rng)
        return {"quality": quality, "subsampling": self.subsampling[int(rng.integers(len(self.subsampling)))]}

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        factor = SUBSAMPLING[params.get("subsampling", "4:2:0")]
        options = [cv2.IMWRITE_JPEG_QUALITY, params["quality"], cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
        return _through_codec(".jpg", options, image)

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """As libjpeg to within few levels, differentiable: roundings let the gradient through."""
        subsamplings = [p.get("subsampling", "4:2:0") for p in params]
        out = torch.empty_like(images)
        for subsampling in set(subsamplings):
            members = [i for i, s in enumerate(subsamplings) if s == subsampling]
            done = jpeg(images[members], [params[i]["quality"] for i in members], subsampling)
            if len(members) == len(images):
                return done
            out = out.index_copy(0, torch.tensor(members, device=images.device), done)
        return out


@DEGRADATION_REGISTRY.register()
class WebP(Step):
    """Writes and reads a lossy WebP, whose chroma always is 4:2:0.

    Args:
        quality: whole number from 1 to 100, as libwebp counts it; 100 is lossy, too.
    """

    def __init__(self, quality: RangeSpec) -> None:
        self.quality = IntRange.parse("quality", quality, 1, 100)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        return {"quality": self.quality.draw(rng)}

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        return _through_codec(".webp", [cv2.IMWRITE_WEBP_QUALITY, params["quality"]], image)


def _through_codec(
    extension: str, options: Sequence[int], image: Float[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w 3"]:
    # OpenCV's codecs take BGR; in the wrong order the weights of red and blue in the luma would be swapped
    _, encoded = cv2.imencode(extension, cv2.cvtColor(to_8bit(image), cv2.COLOR_RGB2BGR), options)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return from_8bit(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))
