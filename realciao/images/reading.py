"""Image files and arrays: the only place that knows uint8, uint16, BGR, alpha and EXIF orientation.

An image here is HW (grey) or HWC with C = 2 (grey + alpha), 3 (RGB) or 4 (RGBA), as uint8, uint16 or float32. What
leaves for the rest of the package is float32 RGB in [0, 1].
"""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float
from PIL import ExifTags, Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile
from torch import Tensor

from realciao.errors import UserError
from realciao.images.lmdb_images import find_lmdb, read_lmdb
from realciao.images.metadata import Metadata, read_metadata, read_tiff_metadata
from realciao.images.pixels import AnyImage, from_float, to_float  # noqa: F401  (part of what this module offers)
from realciao.images.png import SIGNATURE
from realciao.images.tiff import read_deep_tiff
from realciao.images.writing import Bands, ImageError, encode_png, write_photo

MAX_PIXELS = 500_000_000
"""Larger images are refused before they are decoded: some tiny files unfold to more memory than a machine has."""

# others that Pillow knows (EPS) run programs
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width
_TRUNCATED = "the file is truncated"
_PNG_END = b"IEND\xaeB`\x82"
_TIFF_BITS, _TIFF_COMPRESSION, _TIFF_MEANING = 258, 259, 262
_TIFF_PARTS = (273, 324), (279, 325)  # where the strips, or the tiles, begin, and their bytes
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_decoder_lock = threading.Lock()


class Photo(NamedTuple):
    """What a file holds."""

    image: AnyImage
    metadata: Metadata
    """As the file says it; `Metadata.for_size` fits it to a result."""
    warnings: tuple[str, ...] = ()
    """What of the file is not in `image`."""


def read_image(path: str | Path, *, allow_truncated: bool = False) -> AnyImage:
    """The pixels of `read_photo`."""
    return read_photo(path, allow_truncated=allow_truncated).image


def read_photo(path: str | Path, *, allow_truncated: bool = False, max_pixels: int | None = None) -> Photo:
    """Decodes a file as it is: HW or HWC, grey | grey + alpha | RGB | RGBA, uint8 | uint16 | float32, turned upright.

    Palettes become RGB(A), 1-bit grey; of several pages or frames the first counts. CMYK becomes sRGB, by its profile if it
    has one; of RGB and grey the values stay as they are and the profile comes along in the metadata.

    Args:
        path: PNG, JPEG, WebP, TIFF or BMP, told by content and not by name.
        allow_truncated: decode what there is of a file that breaks off, instead of refusing it.
        max_pixels: more are refused before they are decoded; MAX_PIXELS where it is None.

    Raises:
        ImageError: missing, unreadable, empty, truncated, too large, or no such image.
    """
    data = read_bytes(Path(path))
    with _decoders(allow_truncated):
        try:
            photo = _decode(data, allow_truncated, max_pixels or MAX_PIXELS)
        except UnidentifiedImageError as error:
            raise ImageError(path, "is no PNG, JPEG, WebP, TIFF or BMP image, or a broken one") from error
        except Exception as error:  # on broken bytes the decoders raise whatever comes to hand
            raise ImageError(path, f"cannot be decoded ({_one_line(error)})") from error
    if photo.image.dtype == np.float32 and not np.isfinite(photo.image).all():
        raise ImageError(path, "holds values that are not finite numbers")
    return photo


def read_rgb(path: str | Path, *, allow_truncated: bool = False) -> Float[np.ndarray, "h w 3"]:
    """Decodes a file to float32 RGB in [0, 1]: grey is repeated, alpha dropped. Raises as read_image does."""
    return to_rgb(read_image(path, allow_truncated=allow_truncated))


def read_size(path: str | Path) -> tuple[int, int]:
    """Height and width of what read_image returns; the header alone is read where it suffices. Raises as read_image does."""
    _refuse_endless(Path(path))
    try:
        source = io.BytesIO(read_bytes(Path(path))) if find_lmdb(Path(path)) else path
        with _decoders(allow_truncated=False), Image.open(source, formats=_FORMATS) as opened:
            return _upright_size(opened)
    except Exception:  # either broken, which read_image says best, or a kind that Pillow does not know
        height, width = read_image(path).shape[:2]
        return height, width


def read_luma_table(path: str | Path) -> list[int] | None:
    """The 64 numbers by which a JPEG's luma was quantised; None for a file of another kind. Raises as read_image does."""
    _refuse_endless(Path(path))
    try:
        with _decoders(allow_truncated=False), Image.open(path, formats=_FORMATS) as opened:
            tables = getattr(opened, "quantization", None)
            # several pictures in one file (MPO), as phones write them, are JPEGs too
            return list(tables[min(tables)]) if opened.format in ("JPEG", "MPO") and tables else None
    except UnidentifiedImageError:  # a kind that Pillow does not know is no JPEG
        return None
    except OSError as error:
        raise ImageError(path, f"cannot be read ({_one_line(error)})") from error


def to_rgb(image: AnyImage) -> Float[np.ndarray, "h w 3"]:
    """Contiguous float32 RGB in [0, 1]: grey is repeated, alpha dropped."""
    image = to_float(image if image.ndim == 3 else image[:, :, None])
    return np.ascontiguousarray(image[:, :, :3] if image.shape[2] >= 3 else np.repeat(image[:, :, :1], 3, axis=2))


def to_tensor(image: Float[np.ndarray, "h w c"]) -> Float[Tensor, "1 c h w"]:
    """The image as a batch of one; it shares the memory."""
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def to_array(batch: Float[Tensor, "1 c h w"]) -> Float[np.ndarray, "h w c"]:
    """The one image of a batch, float32."""
    return batch[0].permute(1, 2, 0).float().cpu().numpy()


def size_text(size: tuple[int, ...]) -> str:
    """`640x480` (width x height) for messages, from (height, width, ...)."""
    return f"{size[1]}x{size[0]}"


def upscale_bicubic(lq: Float[np.ndarray, "h w 3"], size: tuple[int, int]) -> Float[np.ndarray, "H W 3"]:
    """Bicubic interpolation (a = -0.5, Pillow's and MATLAB's), clipped to [0, 1]."""
    # torch takes a = -0.5 with antialias, which in upscaling changes nothing else
    large = torch.nn.functional.interpolate(to_tensor(lq), size, mode="bicubic", antialias=True, align_corners=False)
    return to_array(large.clamp(0, 1))


def write_image(path: str | Path, image: AnyImage, *, quality: int = 95) -> None:
    """Writes an image without metadata, see `photo_writer.write_photo`; a third axis of one channel is dropped.

    Raises:
        ImageError: unknown ending, an image that the format cannot hold, or a file that cannot be written.
    """
    image = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
    write_photo(path, Bands(image.shape, image.dtype, iter([image])), quality=quality)


def to_png(image: AnyImage) -> bytes:
    """The image as a PNG file; float32 is rounded to 8 bits."""
    buffer = io.BytesIO()
    encode_png(buffer, Bands(image.shape, image.dtype, iter([image])))
    return buffer.getvalue()


def _refuse_endless(path: Path) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ImageError(path, "is no ordinary file (a pipe or a device?)")


def read_bytes(path: Path) -> bytes:
    """The bytes of an image file, be it one in an LMDB. Raises ImageError: missing, empty, or it cannot be read."""
    folder = find_lmdb(path)
    if folder is not None:
        try:
            return read_lmdb(folder, path)
        except UserError as error:
            raise ImageError(path, str(error)) from error
    _refuse_endless(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(path, "no such file") from error
    except OSError as error:
        problem = "is a folder, not an image" if path.is_dir() else f"cannot be read ({error.strerror})"
        raise ImageError(path, problem) from error
    if not data:
        raise ImageError(path, "is empty (0 bytes)")
    return data


def _cmyk_to_srgb(image: Image.Image) -> Image.Image:
    """By the profile of the file; without one that can be read, by Pillow's plain formula."""
    with contextlib.suppress(ImageCms.PyCMSError, OSError):
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        if converted is not None:
            return converted
    return image


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _decoders(allow_truncated: bool) -> Iterator[None]:
    """What the decoders keep in globals, set under a lock and put back: Pillow's limits, and their chatter."""
    with _decoder_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, cv2.utils.logging.getLogLevel()
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = allow_truncated, None
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = before[:2]
            cv2.utils.logging.setLogLevel(before[2])


def _drop_stray_directory(opened: Image.Image) -> None:
    """A TIFF may name EXIF's interoperability directory without EXIF, which Pillow 12 looks for and breaks off."""
    if opened.format == "TIFF":
        exif = opened.getexif()
        if ExifTags.IFD.Interop in exif and ExifTags.IFD.Exif not in exif:
            del exif[ExifTags.IFD.Interop]


def _decode(data: bytes, allow_truncated: bool, max_pixels: int) -> Photo:
    if not allow_truncated and _lacks_its_end(data):
        raise ValueError(_TRUNCATED)
    try:
        opened = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        if data.startswith(_TIFF_MAGIC):  # float colour, among others, is unknown to Pillow
            return _decode_deep_tiff(data, max_pixels)
        raise
    with opened:
        _check_pixels(opened, max_pixels)
        if not allow_truncated and _lacks_a_part(opened, data):
            raise ValueError(_TRUNCATED)
        deep = _has_deep_colour(opened)
        grey_with_alpha = any(str(tile[3]).startswith("LA;16") for tile in getattr(opened, "tile", ()))
        _drop_stray_directory(opened)
        opened.load()  # it is Pillow that notices a file that breaks off
        metadata = read_metadata(opened)
        frames = getattr(opened, "n_frames", 1)
        notes = (f"the first of {frames} frames is read",) if frames > 1 else ()
        if not deep:
            image = _as_array(ImageOps.exif_transpose(opened))
            return Photo(_full_range(image, opened) if image.dtype == np.uint16 else image, metadata, notes)
        if opened.format == "TIFF":
            return Photo(_decode_deep_tiff(data, max_pixels).image, metadata, notes)
        image = _decode_deep(data)
        image = image[:, :, [0, 3]] if grey_with_alpha else image
        return Photo(_turn_upright(image, opened.getexif().get(ExifTags.Base.Orientation, 1)), metadata, notes)


def _lacks_its_end(data: bytes) -> bool:
    """Whether a PNG or a WebP ends early: of these Pillow says nothing of it, or that there is no decoder."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return data.startswith(SIGNATURE) and _PNG_END not in data


def _lacks_a_part(opened: Image.Image, data: bytes) -> bool:
    """Whether a compressed TIFF ends early, of which its decoder would tell on standard error."""
    if not isinstance(opened, TiffImageFile) or opened.tag_v2.get(_TIFF_COMPRESSION, 1) == 1:
        return False
    begins, sizes = (opened.tag_v2.get(strips) or opened.tag_v2.get(tiles) or () for strips, tiles in _TIFF_PARTS)
    return any(begin + size > len(data) for begin, size in zip(begins, sizes, strict=False))


def _full_range(grey: AnyImage, opened: Image.Image) -> AnyImage:
    """Of a TIFF's 12 bits 16, and white where 0 is to be white, of which Pillow minds neither."""
    if not isinstance(opened, TiffImageFile):
        return grey
    levels = 2 ** opened.tag_v2.get(_TIFF_BITS, (16,))[0] - 1
    grey = grey if levels == 65535 else np.rint(grey * (65535 / levels)).astype(np.uint16)
    return 65535 - grey if opened.tag_v2.get(_TIFF_MEANING) == 0 else grey


def _check_pixels(opened: Image.Image, max_pixels: int) -> None:
    if opened.width * opened.height > max_pixels:
        raise ValueError(f"{opened.width}x{opened.height} are more than {max_pixels} pixels")


def _upright_size(opened: Image.Image) -> tuple[int, int]:
    _check_pixels(opened, MAX_PIXELS)
    width, height = opened.size
    if isinstance(
        opened, TiffImageFile
    ):  # some versions of Pillow turn the size of a TIFF, and of it alone, themselves
        width, height = int(opened.tag_v2[IMAGEWIDTH]), int(opened.tag_v2[IMAGELENGTH])
    # asking a PNG without the chunk for its EXIF data decodes it
    has_exif = opened.format != "PNG" or "exif" in opened.info
    turned = has_exif and opened.getexif().get(ExifTags.Base.Orientation) in _TURNED
    return (width, height) if turned else (height, width)


def _turn_upright(image: AnyImage, orientation: int) -> AnyImage:
    """Undoes EXIF orientation 1 to 8: a transposition from 5 on, then flips of rows and of columns."""
    image = image.swapaxes(0, 1) if orientation in _TURNED else image
    image = image[::-1] if orientation in (3, 4, 7, 8) else image
    image = image[:, ::-1] if orientation in (2, 3, 6, 7) else image
    return np.ascontiguousarray(image)


def _has_deep_colour(opened: Image.Image) -> bool:
    """Whether the file holds several channels of 16 bits, of which Pillow would silently keep 8."""
    if opened.format == "TIFF":
        return max(opened.tag_v2.get(_TIFF_BITS, (1,))) > 8 and len(opened.getbands()) > 1  # type: ignore[attr-defined]
    return any(";16" in str(tile[3]) for tile in opened.tile) and len(opened.getbands()) > 1  # type: ignore[attr-defined]


def _decode_deep_tiff(data: bytes, max_pixels: int) -> Photo:
    deep = read_deep_tiff(data, max_pixels)
    if deep is None:
        return Photo(_decode_deep(data), read_tiff_metadata(data))  # OpenCV turns a TIFF upright by itself
    notes = (f"the first of {deep.pages} frames is read",) if deep.pages > 1 else ()
    return Photo(_turn_upright(deep.image, deep.orientation), read_tiff_metadata(data), notes)


def _decode_deep(data: bytes) -> AnyImage:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("the file is broken, or of a kind that is not known; save it as RGB or grey of 8 or 16 bits")
    if image.dtype == np.float64:
        image = image.astype(np.float32)
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(f"{image.dtype} values are not supported")
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    return image


def _as_array(upright: Image.Image) -> AnyImage:
    if upright.mode.startswith("I;16"):
        grey = np.asarray(upright).astype(np.uint16)
        hidden = upright.info.get("transparency")
        if isinstance(hidden, int):
            return np.stack([grey, np.where(grey == hidden, 0, 65535).astype(np.uint16)], axis=2)
        return grey
    if upright.mode == "F":
        return np.array(upright, np.float32)
    if upright.mode == "I":
        raise ValueError("signed or 32-bit integers are not supported")
    if upright.mode == "CMYK" and upright.info.get("icc_profile"):
        upright = _cmyk_to_srgb(upright)
    grey = upright.mode in ("1", "L", "LA", "La")
    wanted = ("LA" if grey else "RGBA") if upright.has_transparency_data else ("L" if grey else "RGB")
    return np.array(upright.convert(wanted))
