"""The 8-bit grid on which images are stored."""

import numpy as np
from jaxtyping import Float, UInt8


def to_8bit(image: Float[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w c"]:
    """[0, 1] to 0..255: clipped and rounded to nearest."""
    return np.rint(np.clip(image, 0, 1) * np.float32(255)).astype(np.uint8)


def from_8bit(image: UInt8[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c"]:
    """0..255 to [0, 1]."""
    return image.astype(np.float32) / np.float32(255)
