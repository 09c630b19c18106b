"""A photo that was sent: decoded once, and kept on the disk as it is."""

from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from realciao.app.limits import Limits
from realciao.app.sessions import Given, Session, mapped_beside
from realciao.app.views import View, show_part
from realciao.errors import UserError
from realciao.figures.crops import busiest
from realciao.images.pixels import AnyImage
from realciao.images.reading import ImageError, read_photo, to_rgb

_LOOK_PX = 512
"""The longer side at which the busiest part is looked for."""


def clean_name(name: str) -> str:
    """A file's name without folders, and without signs that no system takes in a name, or that a terminal or a header obeys."""
    name = PureWindowsPath(PurePosixPath(name).name).name
    return "".join(c for c in name if c.isprintable() and c not in '"<>|?*:\\/')[-120:].strip() or "photo"


def take(session: Session, path: Path, name: str, limits: Limits) -> Given:
    """Makes a file of the session's folder the photo that is worked on.

    Raises:
        UserError: it is no photo, a broken one, or too large; what was there before stays.
    """
    try:
        photo = read_photo(path, max_pixels=int(limits.input_mp * 1e6))
    except ImageError as error:
        problem = error.problem.replace(
            f"more than {int(limits.input_mp * 1e6)} pixels",
            f"more than {limits.input_mp:g} megapixels, the most on this server",
        )
        raise UserError(f"the file {name} {problem}") from error
    given = Given(name, path, map_to_disk(photo.image, mapped_beside(path)), photo.metadata, photo.warnings)
    session.take_photo(given)
    return given


def map_to_disk(image: AnyImage, path: Path) -> AnyImage:
    """The same values in a file, from which they are read as they are looked at."""
    np.save(path, image, allow_pickle=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def look_at(image: AnyImage) -> tuple[float, float]:
    """Where to look first: the middle (y, x) of the part with the most detail, in fractions of the image."""
    height, width = image.shape[:2]
    shrink = max(1.0, max(height, width) / _LOOK_PX)
    shape = (max(1, round(height / shrink)), max(1, round(width / shrink)))
    small = np.asarray(show_part(image, View((height, width), (0, 0, height, width), shape)))
    edge = max(1, min(shape) // 3)
    top, left = busiest(to_rgb(small), edge)
    return (top + edge / 2) / shape[0], (left + edge / 2) / shape[1]
