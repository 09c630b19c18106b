"""What is to be known of every file before it is trained on."""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from realciao.images.reading import ImageError, read_bytes, read_image
from realciao.preparing.fingerprints import Thumbnail, thumbnail

PROBLEMS = {
    "corrupt": "cannot be decoded; training skips it",
    "too small": "smaller than --min_size; training leaves it out of the scales that need more",
    "grey": "shows no colour; training repeats it on three channels",
    "16-bit": "holds more than 8 bits; training uses them",
    "alpha": "has transparency; training drops it",
    "EXIF-rotated": "is stored turned; training turns it upright, other programs may not",
    "CMYK": "is meant for print; colours are converted without a profile",
    "JPEG": "was compressed with loss: the network will learn its artefacts as truth",
}
"""What may be wrong with a file, and what follows."""


class Facts(NamedTuple):
    """What was found of one file."""

    path: Path
    problems: tuple[str, ...] = ()
    detail: str = ""
    """Of a corrupt file, what went wrong."""
    size: tuple[int, int] = (0, 0)
    digest: str = ""
    """Of its bytes."""
    copy: Thumbnail | None = None
    """For the comparison with others; None of a corrupt file."""


def inspect(path: Path, min_size: int = 0) -> Facts:
    """Reads and decodes a file. It raises nothing: what is wrong is in what it returns.

    Args:
        path: an image file, or an image of an LMDB.
        min_size: pixels that the shorter side should have.
    """
    try:
        data = read_bytes(path)
        image = read_image(path)
    except ImageError as error:
        return Facts(path, ("corrupt",), error.problem)
    found = {
        "too small": min(image.shape[:2]) < min_size,
        "grey": _is_grey(image),
        "16-bit": image.dtype != np.uint8,
        "alpha": image.ndim == 3 and image.shape[2] in (2, 4),
        **_of_header(data),
    }
    problems = tuple(name for name in PROBLEMS if found.get(name))
    height, width = image.shape[:2]
    return Facts(path, problems, "", (height, width), hashlib.sha256(data).hexdigest(), thumbnail(image))


def _is_grey(image: np.ndarray) -> bool:
    """Whether a file holds one channel, or three that are equal throughout."""
    if image.ndim == 2 or image.shape[2] < 3:
        return True
    return bool((image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all())


def _of_header(data: bytes) -> dict[str, bool]:
    """What the decoded pixels no longer tell; nothing of a kind of file that Pillow does not know."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            has_exif = opened.format != "PNG" or "exif" in opened.info
            orientation = opened.getexif().get(ExifTags.Base.Orientation, 1) if has_exif else 1
            return {
                "EXIF-rotated": orientation not in (0, 1),
                "CMYK": opened.mode == "CMYK",
                "JPEG": opened.format == "JPEG",
            }
    except (UnidentifiedImageError, OSError, ValueError):
        return {}
