"""EXIF in a TIFF: the first directory among the image's own tags, those of the camera and of GPS behind the pixels."""

import contextlib
import struct
from typing import Any, BinaryIO

import tifffile
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from realciao.images.metadata import SIZE_TAGS, STORAGE_TAGS, Metadata, keep_letters, parse_exif

_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_NOT_COPIED = {*STORAGE_TAGS, *SIZE_TAGS, *_DIRECTORIES, ExifTags.IFD.Interop}
_BYTE, _ASCII, _SHORT, _LONG = 1, 2, 3, 4
_HEADER = b"II*\0\0\0\0\0"


def tiff_tags(metadata: Metadata, classic: bool) -> list[tuple[int, int, int, Any, bool]]:
    """As tifffile's `extratags`: XMP, what the first directory says of camera, date, author and the like, and, in a classic
    TIFF (up to 4 GB), room for where the other directories lie, see `append_directories`.
    """
    tags: list[tuple[int, int, int, Any, bool]] = []
    if metadata.xmp:
        tags.append((700, _BYTE, len(metadata.xmp), metadata.xmp, True))
    parsed = _parse(metadata.exif)
    for code, value in parsed.items():
        if code in _NOT_COPIED:
            continue
        if isinstance(value, str) and value:
            tags.append((code, _ASCII, 0, value.encode("latin-1"), True))  # as Pillow has read it
        elif isinstance(value, bytes) and value:
            tags.append((code, _BYTE, len(value), value, True))
        elif isinstance(value, int) and 0 <= value < 2**32:
            tags.append((code, _SHORT if value < 2**16 else _LONG, 1, value, True))
    return tags + [(_room(code), _LONG, 1, 0, True) for code in _DIRECTORIES if classic and parsed.get_ifd(code)]


def append_directories(file: BinaryIO, exif: bytes | None) -> None:
    """Writes EXIF's further directories behind a little-endian classic TIFF with `tiff_tags`, and says there where they lie.

    Args:
        file: open for reading and writing.
    """
    parsed = _parse(exif)
    for code in _DIRECTORIES:
        values = parsed.get_ifd(code)
        if not values:
            continue
        directory = ImageFileDirectory_v2(_HEADER, group=code)
        for tag in set(values) - {ExifTags.IFD.Interop}:  # which is where yet another one lies
            directory[tag] = values[tag]
        keep_letters(directory)
        end = file.seek(0, 2)
        begin = end + end % 2
        file.write(bytes(begin - end) + directory.tobytes(begin))
        file.seek(0)
        with tifffile.TiffFile(file) as written:
            place = written.pages.first.tags[_room(code)].offset
        file.seek(place)
        file.write(struct.pack("<HHII", code, _LONG, 1, begin))


def _room(code: int) -> int:
    """The tag before it, as tifffile does not write the tag itself."""
    return code - 1


def _parse(exif: bytes | None) -> Image.Exif:
    """None, or what is broken, is empty."""
    with contextlib.suppress(Exception):
        parsed = parse_exif(exif or b"")
        for code in _DIRECTORIES:
            parsed.get_ifd(code)
        return parsed
    return Image.Exif()
