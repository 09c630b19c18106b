"""Writes photos, whole or not at all: PNG and TIFF row by row as they are made, other formats once all is there."""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import psutil
import tifffile
from PIL import Image

from realciao.errors import UserError
from realciao.files import atomic_path
from realciao.images.metadata import Metadata, icc_for, pillow_options, png_chunks
from realciao.images.pixels import AnyImage, from_float, to_float
from realciao.images.png import MAX_SIDE, write_png
from realciao.images.tiff_exif import append_directories, tiff_tags

FORMAT_OF = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]
_DEPTHS = {"PNG": (np.uint8, np.uint16), "TIFF": (np.uint8, np.uint16, np.float32)}
_MAX_BMP_BYTES = 2**32 - 2**12
_MAX_SIDE = {"PNG": MAX_SIDE, "JPEG": 65535, "WEBP": 16383, "BMP": MAX_SIDE}
_ROWS_PER_STRIP = 64
_COMPRESS_LEVEL = 4
_CLASSIC_TIFF_BYTES = 2**32 - 2**25


class Bands(NamedTuple):
    """An image that comes as bands of rows, from top to bottom."""

    shape: tuple[int, ...]
    """Of all of it: (height, width) or (height, width, channels)."""
    dtype: np.dtype
    rows: Iterator[AnyImage]

    def join(self) -> AnyImage:
        """All of it, in memory."""
        whole = np.empty(self.shape, self.dtype)
        row = 0
        for band in self.rows:
            whole[row : row + len(band)] = band
            row += len(band)
        return whole


class ImageError(UserError):
    """An image file that cannot be read or written; the message starts with its path."""

    def __init__(self, path: str | Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = Path(path)
        self.problem = problem


def check_writable(path: Path, size: tuple[int, ...]) -> str:
    """The format of the name's ending, if it holds an image of this (height, width[, channels]); ImageError otherwise."""
    file_format = FORMAT_OF.get(path.suffix.lower())
    if file_format is None:
        raise ImageError(path, f"cannot be written as '{path.suffix}'; known: {', '.join(FORMAT_OF)}")
    most = _MAX_SIDE.get(file_format)
    if most and max(size[:2]) > most:
        raise ImageError(
            path, f"{file_format} cannot hold this {size[1]}x{size[0]} image (at most {most} a side); give PNG or TIFF"
        )
    if file_format not in ("PNG", "TIFF"):
        _check_memory(path, size, file_format)
    return file_format


def _check_memory(path: Path, size: tuple[int, ...], file_format: str) -> None:
    """Of an image that is written as a whole."""
    row_bytes = size[1] * _kept_channels(size, file_format)
    if file_format == "BMP" and size[0] * (row_bytes + 3) > _MAX_BMP_BYTES:  # rows are filled up to multiples of 4
        raise ImageError(path, f"BMP cannot hold this {size[1]}x{size[0]} image (at most 4 GiB); give PNG or TIFF")
    needed, free = 2 * size[0] * row_bytes, psutil.virtual_memory().available  # as an array, and as Pillow's image
    if needed > free:
        raise ImageError(
            path,
            f"{file_format} would need {needed / 2**30:.1f} GiB of memory for this {size[1]}x{size[0]} image, and "
            f"{free / 2**30:.1f} are free; give PNG or TIFF",
        )


def write_photo(
    path: str | Path,
    bands: Bands,
    metadata: Metadata = Metadata(),  # noqa: B008  (it cannot change)
    *,
    quality: int = 95,
    subsampling: Subsampling = "4:4:4",
) -> None:
    """Writes an image in the format of the name's ending; a reader never sees half a file.

    16 bits are kept by PNG and TIFF, float32 by TIFF; elsewhere the values are converted to 8 bits. JPEG and BMP hold
    no alpha: it is left out and the colours stay as they are. Deep grey + alpha becomes RGBA in a TIFF: few programs read it.

    Args:
        path: ends in .png, .jpg, .jpeg, .webp, .tif, .tiff or .bmp; its folder is made if missing.
        bands: values as in `AnyImage`; float32 in [0, 1]. PNG and TIFF keep one band in memory at a time.
        metadata: of a result of this size, see `Metadata.for_size`.
        quality: of JPEG and WebP, 1 to 100.
        subsampling: of JPEG's colours.

    Raises:
        ImageError: unknown ending, an image that the format cannot hold, or a file that cannot be written.
    """
    path = Path(path)
    file_format = check_writable(path, bands.shape)
    if file_format != "PNG":
        bands = _storable(bands, file_format)
    try:
        with atomic_path(path) as temporary, open(temporary, "w+b") as file:
            try:
                if file_format == "PNG":
                    encode_png(file, bands, metadata)
                elif file_format == "TIFF":
                    _write_tiff(file, bands, metadata)
                else:
                    options = pillow_options(metadata, file_format, _is_grey(bands))
                    if file_format != "BMP":
                        options["quality"] = quality
                    if file_format == "JPEG":
                        options["subsampling"] = subsampling
                    _write_with_pillow(file, bands.join(), file_format, options)
            except _CannotHoldError as error:
                size = f"{bands.shape[1]}x{bands.shape[0]}"
                raise ImageError(path, f"{file_format} cannot hold this {size} image ({error})") from error
    except ImageError:
        raise
    except UserError as error:
        problem = str(error)
        if not problem.startswith(f"{path}: "):
            raise  # from whoever makes the bands
        raise ImageError(path, problem.removeprefix(f"{path}: ")) from error


def encode_png(file: BinaryIO, bands: Bands, metadata: Metadata = Metadata()) -> None:  # noqa: B008
    """Writes a PNG into an open file; float32 is rounded to 8 bits."""
    bands = _storable(bands, "PNG")
    write_png(file, bands.shape, bands.dtype, bands.rows, png_chunks(metadata, _is_grey(bands)))


class _CannotHoldError(Exception):
    """What an encoder says of an image."""


def _is_grey(bands: Bands) -> bool:
    return len(bands.shape) == 2 or bands.shape[2] == 2


def _storable(bands: Bands, file_format: str) -> Bands:
    """With the depth and the channels that the format can hold."""
    kept = _kept_channels(bands.shape, file_format)
    dtype = bands.dtype if bands.dtype in _DEPTHS.get(file_format, (np.uint8,)) else np.dtype(np.uint8)
    order = [0, 0, 0, 1] if file_format == "TIFF" and kept == 2 and dtype != np.uint8 else list(range(kept))

    def convert(band: AnyImage) -> AnyImage:
        band = np.atleast_3d(band)
        band = band if order == list(range(band.shape[2])) else band[:, :, order]
        band = band if band.dtype == dtype else from_float(to_float(band), dtype)
        return band if kept > 1 else band[:, :, 0]

    shape = bands.shape[:2] if kept == 1 else (*bands.shape[:2], len(order))
    return Bands(shape, dtype, map(convert, bands.rows))


def _kept_channels(shape: tuple[int, ...], file_format: str) -> int:
    channels = shape[2] if len(shape) == 3 else 1
    return channels - 1 if channels in (2, 4) and file_format in ("JPEG", "BMP") else channels


def _write_tiff(file: BinaryIO, bands: Bands, metadata: Metadata) -> None:
    """Deflated strips, with the difference of neighbours where the values are integers."""
    grey = _is_grey(bands)
    differs = bands.dtype != np.float32
    strips = (
        zlib.compress((_differences(strip) if differs else strip).tobytes(), _COMPRESS_LEVEL)
        for strip in _regroup(bands, _ROWS_PER_STRIP)
    )
    size = int(np.prod(bands.shape, dtype=np.int64)) * bands.dtype.itemsize
    classic = size <= _CLASSIC_TIFF_BYTES
    with tifffile.TiffWriter(file, bigtiff=not classic, byteorder="<") as writer:
        writer.write(
            strips,
            shape=bands.shape,
            dtype=bands.dtype,
            rowsperstrip=_ROWS_PER_STRIP,
            photometric="minisblack" if grey else "rgb",
            planarconfig="contig" if len(bands.shape) == 3 else None,
            extrasamples=["unassalpha"] if len(bands.shape) == 3 and bands.shape[2] in (2, 4) else None,
            compression="zlib",
            predictor=differs,
            metadata=None,
            software=False,
            resolution=metadata.dpi,
            resolutionunit="INCH" if metadata.dpi else None,
            iccprofile=icc_for(metadata, grey),
            extratags=tiff_tags(metadata, classic),
        )
    if classic:
        append_directories(file, metadata.exif)


def _regroup(bands: Bands, rows: int) -> Iterator[AnyImage]:
    """The same rows, so many at a time; fewer at the end."""
    kept: list[AnyImage] = []
    count = 0
    for band in bands.rows:
        kept.append(band)
        count += len(band)
        if count >= rows:
            joined = np.concatenate(kept)
            whole = count - count % rows
            yield from (joined[begin : begin + rows] for begin in range(0, whole, rows))
            kept, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(kept)


def _differences(strip: AnyImage) -> AnyImage:
    result = strip.copy()
    result[:, 1:] -= strip[:, :-1]
    return result


def _write_with_pillow(file: BinaryIO, image: AnyImage, file_format: str, options: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    try:
        Image.fromarray(image).save(buffer, format=file_format, **options)
    except (OSError, ValueError) as error:
        raise _CannotHoldError(" ".join(str(error).split()) or type(error).__name__) from error
    file.write(buffer.getbuffer())
