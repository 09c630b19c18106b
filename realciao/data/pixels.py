"""Cutting, turning and converting stored images: views first, float pixels last."""

import numpy as np
from jaxtyping import Float, Shaped

from realciao.image import AnyImage, to_float


def random_corner(rng: np.random.Generator, size: tuple[int, ...], n_crop: int) -> tuple[int, int]:
    """Top and left of a square of `n_crop` pixels, uniform over its places in an image of `size`."""
    top, left = (int(rng.integers(n - n_crop + 1)) for n in size)
    return top, left


def centre_crop(image: AnyImage, n_crop: int | None) -> Shaped[np.ndarray, "crop_h crop_w *c"]:
    """The middle `n_crop` pixels of each axis, or what there is of it; the whole image for None."""
    rows, columns = (slice(max(0, (n - (n_crop or n)) // 2), None) for n in image.shape[:2])
    return image[rows, columns][:n_crop, :n_crop]


def orientation(rng: np.random.Generator, use_hflip: bool, use_rot: bool) -> tuple[bool, int]:
    """Whether to mirror (chance 1/2), and by how many quarter turns to rotate (uniform)."""
    return bool(use_hflip and rng.integers(2)), int(rng.integers(4)) if use_rot else 0


def oriented(image: AnyImage, mirrored: bool, quarter_turns: int) -> Shaped[np.ndarray, "hh ww *c"]:
    """A view of the image, mirrored left to right, then rotated counterclockwise."""
    return np.rot90(image[:, ::-1] if mirrored else image, quarter_turns)


def rgb(image: AnyImage) -> Float[np.ndarray, "h w 3"]:
    """Contiguous float32 RGB in [0, 1]: grey is repeated, alpha dropped."""
    image = to_float(image if image.ndim == 3 else image[:, :, None])
    return np.ascontiguousarray(image[:, :, :3] if image.shape[2] >= 3 else np.repeat(image[:, :, :1], 3, axis=2))
