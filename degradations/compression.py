"""Lossy compression through the real codecs."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from degradations.jpeg import jpeg
from degradations.pixels import from_8bit, to_8bit
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Step
from degradations.values import IntRange, RangeSpec


@DEGRADATION_REGISTRY.register()
class JPEG(Step):
    """Writes and reads a JPEG with 4:2:0 chroma; clips to [0, 1] and rounds to 8 bits first.

    Args:
        quality: whole number from 1 to 100, as libjpeg counts it.
    """

    def __init__(self, quality: RangeSpec) -> None:
        self.quality = IntRange.parse("quality", quality, 1, 100)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        return {"quality": self.quality.draw(rng)}

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        rgb = to_8bit(image)
        options = [
            cv2.IMWRITE_JPEG_QUALITY, params["quality"],
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
        ]  # fmt: skip
        # OpenCV's codecs take BGR; in the wrong order the weights of red and blue in the luma would be swapped
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
        decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        assert decoded is not None
        return from_8bit(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))

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
