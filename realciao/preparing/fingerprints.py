"""Which images show the same, though their files differ: a perceptual hash proposes, a comparison of small copies decides.

The hash is the pHash of 64 bits: the signs of the low frequencies of a 32 x 32 grey copy about their median. A pair whose
hashes differ in few bits is then compared by the correlation of the copies, turned and mirrored alike, because training turns
and mirrors too. A crop of a photo is not recognised, nor is another photo of the same scene.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt64
from scipy.fft import dctn

from realciao.images.reading import AnyImage, to_rgb

EDGE = 32
BITS = 8
MAX_DISTANCE = 12
"""Bits in which the hashes of a proposed pair differ, of 64."""
MIN_CORRELATION = 0.98
"""Of the grey copies of a pair that counts as the same."""
FLAT = 1.0 / 255
"""An image whose copy deviates less than this shows nothing to compare."""

Thumbnail = Float[np.ndarray, "32 32"]


class Match(NamedTuple):
    """Two images that show the same: their numbers in the two sequences, and the correlation of the copies."""

    first: int
    second: int
    correlation: float


def thumbnail(image: AnyImage) -> Thumbnail:
    """The image in grey, shrunk to 32 x 32 by averaging, whatever its shape."""
    rgb = to_rgb(image)
    grey = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    return cv2.resize(grey, (EDGE, EDGE), interpolation=cv2.INTER_AREA).astype(np.float32)


def phash(copies: Float[np.ndarray, "*n 32 32"]) -> UInt64[np.ndarray, "*n"]:
    """64 bits for each copy."""
    low = np.asarray(dctn(copies, axes=(-2, -1), norm="ortho"))[..., :BITS, :BITS].reshape(
        *copies.shape[:-2], BITS * BITS
    )
    # the mean of the image says nothing about what it shows
    bits = low > np.median(low[..., 1:], axis=-1, keepdims=True)
    bits[..., 0] = False
    return np.packbits(bits, axis=-1).view(np.uint64)[..., 0]


def find_matches(
    firsts: Sequence[Thumbnail], seconds: Sequence[Thumbnail] | None = None, block: int = 1024
) -> Iterator[Match]:
    """Pairs of a first and a second that show the same, also turned or mirrored; without seconds, pairs of two firsts.

    Flat images, which show nothing, match nothing.
    """
    one = _stack(firsts)
    other = one if seconds is None else _stack(seconds)
    if not len(one) or not len(other):
        return
    normal, turned = _normalised(one), _normalised(_orientations(other))
    hashes, turned_hashes = phash(one), phash(_orientations(other))
    for start in range(0, len(one), block):
        distance = np.bitwise_count(hashes[start : start + block, None, None] ^ turned_hashes[None])
        near = distance.min(axis=2) <= MAX_DISTANCE
        for row, second in zip(*np.nonzero(near), strict=True):
            first = start + int(row)
            if seconds is None and first >= second:
                continue
            correlation = float((turned[second] * normal[first]).sum(axis=(1, 2)).max())
            if correlation >= MIN_CORRELATION:
                yield Match(first, int(second), round(correlation, 4))


def _stack(copies: Sequence[Thumbnail]) -> Float[np.ndarray, "n 32 32"]:
    return np.stack(copies) if len(copies) else np.zeros((0, EDGE, EDGE), np.float32)


def _orientations(copies: Float[np.ndarray, "n 32 32"]) -> Shaped[np.ndarray, "n 8 32 32"]:
    turns = [np.rot90(copies, turn, axes=(1, 2)) for turn in range(4)]
    return np.stack([view for turn in turns for view in (turn, turn[:, :, ::-1])], axis=1)


def _normalised(copies: Float[np.ndarray, "*n 32 32"]) -> Float[np.ndarray, "*n 32 32"]:
    centred = copies - copies.mean(axis=(-2, -1), keepdims=True)
    deviation = centred.std(axis=(-2, -1), keepdims=True)
    return np.where(deviation > FLAT, centred / np.maximum(deviation, FLAT) / EDGE, 0)
