"""What a photo file says beside its pixels (colour profile, EXIF, XMP, resolution), and how it goes into a result.

Pixels are not converted: a network works on the values as they are stored, whatever RGB or grey profile says what they mean,
and the profile goes into the result. What depends on the pixels is brought up to date: orientation (results are upright),
width and height; thumbnails are dropped.
"""

import contextlib
import io
import re
import struct
import zlib
from collections.abc import MutableMapping
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from realciao.images.png import Chunk

SIZE_TAGS = {ExifTags.Base.ImageWidth: 1, ExifTags.Base.ImageLength: 0}
_EXIF_SIZE_TAGS = {ExifTags.Base.ExifImageWidth: 1, ExifTags.Base.ExifImageHeight: 0}
STORAGE_TAGS = {
    254, 255, 258, 259, 262, 266, 273, 277, 278, 279, 282, 283, 284, 296, 317, 320, 322, 323, 324, 325, 330, 338, 339, 347, 400,
    529, 530, 531, 532, 700, 32997, 32998, 33723, 34377, 34675,
}  # fmt: skip
"""How a TIFF was stored, not what the photo is: its writer says these anew."""
_XMP_SIZES = {"tiff:ImageWidth": 1, "tiff:ImageLength": 0, "exif:PixelXDimension": 1, "exif:PixelYDimension": 0}
_MAX_JPEG_SEGMENT = 65533
_MAX_DPI = 65535
"""What JPEG can say; more is a broken file."""
_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"


class Metadata(NamedTuple):
    """Of one file; whatever it lacks is None."""

    icc: bytes | None = None
    """Colour profile, of RGB or of grey."""
    exif: bytes | None = None
    """As a TIFF structure, without "Exif" before it."""
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    """Dots an inch, along x and y."""

    def for_size(self, size: tuple[int, int]) -> "Metadata":
        """For an upright result of `size` (height, width): new dimensions, no turn, no thumbnail.

        What cannot be read is left out: better none than a wrong one.
        """
        return self._replace(exif=_update_exif(self.exif, size), xmp=_update_xmp(self.xmp, size))


def read_metadata(opened: Image.Image) -> Metadata:
    """From a file that Pillow has opened; a broken part counts as none."""
    exif = None
    with contextlib.suppress(Exception):  # EXIF of cameras is often broken, and Pillow then raises whatever comes
        exif = _keep(opened.getexif(), opened.format == "TIFF")
    xmp = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp")
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    return Metadata(_rgb_or_grey(opened.info.get("icc_profile")), exif, xmp or None, _plausible(opened.info.get("dpi")))


def read_tiff_metadata(data: bytes) -> Metadata:
    """From a TIFF that Pillow does not open; a broken part counts as none."""
    with contextlib.suppress(Exception):
        parsed = Image.Exif()
        parsed.load_from_fp(io.BytesIO(data))
        first = dict(parsed)
        unit = {2: 1, 3: 2.54}.get(first.get(ExifTags.Base.ResolutionUnit, 2))
        dpi = unit and [unit * first.get(tag, 0) for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution)]
        return Metadata(_rgb_or_grey(first.get(34675)), _keep(parsed, tiff=True), first.get(700), _plausible(dpi))
    return Metadata()


def _keep(parsed: Image.Exif, tiff: bool) -> bytes | None:
    """With the directories of camera and GPS; of a TIFF, without what says how that was stored."""
    for tag in STORAGE_TAGS & set(parsed) if tiff else ():
        del parsed[tag]
    return _exif_bytes(parsed) if len(parsed) else None


def _plausible(dpi: Any) -> tuple[float, float] | None:
    with contextlib.suppress(Exception):
        return (float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 and max(dpi) <= _MAX_DPI else None
    return None


def png_chunks(metadata: Metadata, grey: bool) -> list[Chunk]:
    """As chunks before the pixels of a PNG; the profile only if it is of the image's kind."""
    chunks = []
    icc = icc_for(metadata, grey)
    if icc:
        chunks.append(Chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    if metadata.dpi:
        per_metre = [min(round(dpi / 0.0254), 2**31 - 1) for dpi in metadata.dpi]
        chunks.append(Chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if metadata.exif:
        chunks.append(Chunk(b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append(Chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp))
    return chunks


def pillow_options(metadata: Metadata, file_format: str, grey: bool) -> dict[str, Any]:
    """As arguments of Pillow's `save` for JPEG, WebP and BMP; what a format has no place for is left out."""
    if file_format == "BMP":
        return {"dpi": metadata.dpi} if metadata.dpi else {}
    grey = grey and file_format != "WEBP"  # which knows no grey: Pillow makes it RGB
    options: dict[str, Any] = {"icc_profile": icc_for(metadata, grey), "xmp": metadata.xmp}
    options["exif"] = metadata.exif and b"Exif\0\0" + metadata.exif
    if file_format == "JPEG":
        options["dpi"] = metadata.dpi and tuple(round(dpi) for dpi in metadata.dpi)
        if metadata.exif and len(metadata.exif) + 6 > _MAX_JPEG_SEGMENT:
            options["exif"] = None
        if metadata.xmp and len(metadata.xmp) + len(_XMP_MARK) > _MAX_JPEG_SEGMENT:
            options["xmp"] = None
    return {key: value for key, value in options.items() if value}


def icc_for(metadata: Metadata, grey: bool) -> bytes | None:
    """The profile, if it is one of grey images for a grey one, of RGB for others."""
    icc = metadata.icc
    return icc if icc and (icc[16:20] == b"GRAY") == grey else None


def _rgb_or_grey(icc: bytes | None) -> bytes | None:
    return icc if icc and len(icc) > 128 and icc[16:20] in (b"RGB ", b"GRAY") else None


class _AsStored(str):
    """Text of EXIF that Pillow writes byte for byte as it was read, by Latin-1; of other text it makes `?` beyond ASCII."""

    __slots__ = ()

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        return super().encode("latin-1")


def keep_letters(directory: MutableMapping[int, Any]) -> None:
    """Lets the texts of a directory of EXIF, as read, be written with the bytes that they have in their file."""
    directory.update({tag: _AsStored(value) for tag, value in directory.items() if isinstance(value, str)})


def _exif_bytes(exif: Image.Exif) -> bytes:
    # asked for, the further directories are written, too
    for directory in (exif, exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)):
        keep_letters(directory)
    return exif.tobytes().removeprefix(b"Exif\0\0")


def parse_exif(exif: bytes) -> Image.Exif:
    """The first directory; whatever Pillow raises where it is broken."""
    parsed = Image.Exif()
    parsed.load(b"Exif\0\0" + exif)
    return parsed


def _update_exif(exif: bytes | None, size: tuple[int, int]) -> bytes | None:
    if not exif:
        return None
    with contextlib.suppress(Exception):
        parsed = parse_exif(exif)
        sub = parsed.get_ifd(ExifTags.IFD.Exif)
        if ExifTags.Base.Orientation in parsed:
            parsed[ExifTags.Base.Orientation] = 1
        for tags, ifd in ((SIZE_TAGS, parsed), (_EXIF_SIZE_TAGS, sub)):
            for tag, axis in tags.items():
                if tag in ifd:
                    ifd[tag] = size[axis]
        return _exif_bytes(parsed)  # the second directory, which holds the thumbnail, is not written
    return None


def _update_xmp(xmp: bytes | None, size: tuple[int, int]) -> bytes | None:
    """XMP with the new size and no turn, whether written as attributes or as elements."""
    if not xmp:
        return None
    for name, value in (*((n, size[axis]) for n, axis in _XMP_SIZES.items()), ("tiff:Orientation", 1)):
        key = name.encode()
        xmp = re.sub(rb"(" + key + rb"\s*=\s*[\"'])\d+([\"'])", rb"\g<1>%d\g<2>" % value, xmp)
        xmp = re.sub(rb"(<" + key + rb">\s*)\d+(\s*</" + key + rb">)", rb"\g<1>%d\g<2>" % value, xmp)
    # thumbnails: <xmp:Thumbnails> ... </xmp:Thumbnails>
    return re.sub(rb"<xmp:Thumbnails>.*?</xmp:Thumbnails>", b"", xmp, flags=re.DOTALL)
