"""The size of an image without decoding it."""

from pathlib import Path

from PIL import Image
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from realciao.image import read_image

_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width


def upright_size(path: Path) -> tuple[int, int]:
    """Height and width of the image as `read_image` returns it; the header alone is read where it suffices.

    Raises:
        ImageError: the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            # some versions of Pillow turn the size of a TIFF, and of it alone, themselves
            width, height = _stored_size(image)
            # asking a PNG without the chunk for its EXIF data decodes it
            has_exif = image.format != "PNG" or "exif" in image.info
            turned = has_exif and image.getexif().get(_ORIENTATION) in _TURNED
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # either broken, which read_image says best, or a kind that Pillow does not know
        height, width = read_image(path).shape[:2]
        turned = False
    return (width, height) if turned else (height, width)


def _stored_size(image: Image.Image) -> tuple[int, int]:
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2[IMAGEWIDTH]), int(image.tag_v2[IMAGELENGTH])
    return image.size
