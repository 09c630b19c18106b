"""PNG, written as its rows come, so that an image need never be in memory as a whole."""

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_SIDE = 2**31 - 1
COLOUR_TYPE = {1: 0, 3: 2, 2: 4, 4: 6}
COMPRESS_LEVEL = 4
"""zlib's; 6 takes twice as long for 1 % less."""
ROWS_PER_STEP = 64
"""Filtered at a time; what that needs is a few times their bytes."""


class Chunk(NamedTuple):
    """One that may stand before the pixels, such as iCCP, eXIf, pHYs, iTXt."""

    kind: bytes
    data: bytes


def write_png(
    file: BinaryIO,
    shape: tuple[int, ...],
    dtype: np.dtype,
    bands: Iterable[Shaped[np.ndarray, "n w *c"]],
    chunks: Sequence[Chunk] = (),
) -> None:
    """Writes an image of `shape` (H, W) or (H, W, C), C from 1 to 4, of which `bands` are the rows from top to bottom.

    Args:
        dtype: uint8 or uint16.
        chunks: put between header and pixels.

    Raises:
        ValueError: a size that PNG cannot hold.
    """
    height, width, channels = (*shape, 1)[:3]
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise ValueError(f"PNG holds no image of {width}x{height}")
    file.write(SIGNATURE)
    header = struct.pack(">IIBBBBB", width, height, 8 * dtype.itemsize, COLOUR_TYPE[channels], 0, 0, 0)
    _write_chunk(file, Chunk(b"IHDR", header))
    for chunk in chunks:
        _write_chunk(file, chunk)
    packer = zlib.compressobj(COMPRESS_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    above = np.zeros((1, width * channels * dtype.itemsize), np.uint8)
    for band in bands:
        for begin in range(0, len(band), ROWS_PER_STEP):
            rows = _as_bytes(band[begin : begin + ROWS_PER_STEP])
            filtered = _filter(rows, np.concatenate([above, rows[:-1]]), channels * dtype.itemsize)
            _write_data(file, packer.compress(filtered.tobytes()))
            above = rows[-1:]
    _write_data(file, packer.flush())
    _write_chunk(file, Chunk(b"IEND", b""))


def _as_bytes(rows: Shaped[np.ndarray, "n w *c"]) -> UInt8[np.ndarray, "n bytes"]:
    """As PNG stores them: the high byte first."""
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
    return flat if flat.dtype == np.uint8 else flat.astype(">u2").view(np.uint8)


def _filter(
    rows: UInt8[np.ndarray, "n bytes"], above: UInt8[np.ndarray, "n bytes"], pixel: int
) -> UInt8[np.ndarray, "n bytes+1"]:
    """Each row by the filter that leaves the least sum of absolute values, as the standard advises; its number goes first.

    Of the five filters None, Sub, Up and Paeth are tried: Average is between the last two.
    """
    left = np.zeros_like(rows)
    left[:, pixel:] = rows[:, :-pixel]
    corner = np.zeros_like(rows)
    corner[:, pixel:] = above[:, :-pixel]
    numbers = np.array([0, 1, 2, 4], np.uint8)
    candidates = np.stack([rows, rows - left, rows - above, rows - _paeth(left, above, corner)])
    cost = np.abs(candidates.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
    best = cost.argmin(axis=0)
    chosen = candidates[best, np.arange(len(rows))]
    return np.concatenate([numbers[best][:, None], chosen], axis=1)


def _paeth(
    left: UInt8[np.ndarray, "n b"], above: UInt8[np.ndarray, "n b"], corner: UInt8[np.ndarray, "n b"]
) -> UInt8[np.ndarray, "n b"]:
    """Of the three neighbours the one nearest to left + above - corner; of equals the first."""
    a, b, c = (t.astype(np.int16) for t in (left, above, corner))
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    return np.where((to_a <= to_b) & (to_a <= to_c), left, np.where(to_b <= to_c, above, corner))


def _write_data(file: BinaryIO, data: bytes) -> None:
    if data:
        _write_chunk(file, Chunk(b"IDAT", data))


def _write_chunk(file: BinaryIO, chunk: Chunk) -> None:
    checksum = zlib.crc32(chunk.data, zlib.crc32(chunk.kind))
    file.write(struct.pack(">I", len(chunk.data)) + chunk.kind)
    file.write(chunk.data)
    file.write(struct.pack(">I", checksum))
