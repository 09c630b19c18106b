"""The HR crops that all ways degrade."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from realciao.data.photos import find_photos
from realciao.errors import UserError
from realciao.images.reading import read_image, to_rgb


def hr_crops(dataroot: Sequence[str], edge: int, count: int) -> list[Float[np.ndarray, "edge edge 3"]]:
    """So many square crops, taken in turn from the photos that are large enough, at places drawn with a fixed seed.

    Raises:
        UserError: no photo is.
    """
    photos = [photo for photo in map(read_image, find_photos(dataroot)) if min(photo.shape[:2]) >= edge]
    if not photos:
        raise UserError(f"--images: no photo has {edge} px a side; give larger ones or smaller --sizes")
    rng, crops = np.random.default_rng(0), []
    for photo in itertools.islice(itertools.cycle(photos), count):
        top, left = (int(rng.integers(n - edge + 1)) for n in photo.shape[:2])
        crops.append(np.ascontiguousarray(to_rgb(photo[top : top + edge, left : left + edge])))
    return crops
