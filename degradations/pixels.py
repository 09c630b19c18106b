"""The 8-bit grid on which images are stored, and how bright a colour is."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the luma: ITU-R BT.601, as OpenCV and JPEG have them."""


def to_8bit(image: Float[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w c"]:
    """[0, 1] to 0..255: clipped and rounded to nearest."""
    scaled = cv2.multiply(image, (255.0,) * 4, dtype=cv2.CV_8U)  # pyright: ignore  (its annotations know no scalar)
    return scaled.reshape(image.shape)


def from_8bit(image: UInt8[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c"]:
    """0..255 to [0, 1]."""
    return image.astype(np.float32) / np.float32(255)
