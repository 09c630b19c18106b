"""The 8-bit grid on which images are stored."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8


def to_8bit(image: Float[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w c"]:
    """[0, 1] to 0..255: clipped and rounded to nearest."""
    return cv2.multiply(image, (255.0,) * 4, dtype=cv2.CV_8U).reshape(image.shape)


def from_8bit(image: UInt8[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c"]:
    """0..255 to [0, 1]."""
    return image.astype(np.float32) / np.float32(255)
