"""Pixel values: uint8, uint16 and float32 in [0, 1], and the ways between them."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Shaped

AnyImage: TypeAlias = Shaped[np.ndarray, "h w *c"]
"""HW (grey) or HWC with C = 2 (grey + alpha), 3 (RGB) or 4 (RGBA), as uint8, uint16 or float32."""

_LEVELS = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


def to_float(image: AnyImage) -> Float[np.ndarray, "h w *c"]:
    """uint8 / 255, uint16 / 65535, float32 clipped to [0, 1]; always a new float32 array."""
    if image.dtype == np.float32:
        return np.clip(image, 0, 1)
    return image.astype(np.float32) / np.float32(_levels(image.dtype))


def from_float(image: Float[np.ndarray, "h w *c"], dtype: np.dtype | type) -> AnyImage:
    """[0, 1] to uint8 or uint16 (clipped, rounded to nearest), or float32 (clipped). The inverse of to_float."""
    clipped = np.clip(image, 0, 1, dtype=np.float32)
    if np.dtype(dtype) == np.float32:
        return clipped
    return np.rint(clipped * np.float32(_levels(dtype))).astype(dtype)


def _levels(dtype: np.dtype | type) -> int:
    if np.dtype(dtype) not in _LEVELS:
        raise TypeError(f"an image is uint8, uint16 or float32, not {np.dtype(dtype)}")
    return _LEVELS[np.dtype(dtype)]
