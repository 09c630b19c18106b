"""One photo file becomes another: what the command line does to each of many, and the app to one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from realciao.images.pixels import AnyImage
from realciao.images.reading import read_photo
from realciao.images.writing import Subsampling, check_writable, write_photo
from realciao.upscaling.bands import Progress
from realciao.upscaling.sizes import Roi, Size, SizeRequest
from realciao.upscaling.upscaler import Upscaler


class Task(NamedTuple):
    """What is done to a photo."""

    size: SizeRequest
    roi: Roi | None = None
    max_step: float | None = None
    allow_truncated: bool = False
    quality: int = 95
    subsampling: Subsampling = "4:4:4"


class Outcome(NamedTuple):
    """What can be said of a result that was written."""

    input_size: Size
    output_size: Size
    warnings: tuple[str, ...]
    """What of the photo is not in the result."""


def upscale_file(
    upscaler: Upscaler,
    source: Path,
    target: Path,
    task: Task,
    progress: Progress | None = None,
    begin: Callable[[], None] = lambda: None,
) -> Outcome:
    """Writes the result of `source` to `target`, whole or not at all, with the metadata of the photo.

    Args:
        progress: may raise, to stop.
        begin: called when the photo has been read and the request found possible, before anything is written.

    Raises:
        UserError: a photo that cannot be read, a request that cannot be made, or a result that cannot be written.
    """
    photo = read_photo(source, allow_truncated=task.allow_truncated)
    input_size = (photo.image.shape[0], photo.image.shape[1])
    size = task.size.resolve(input_size)
    bands = upscaler.upscale_bands(photo.image, size=size, roi=task.roi, max_step=task.max_step, progress=progress)
    check_writable(target, bands.shape)
    output_size = (bands.shape[0], bands.shape[1])
    begin()
    write_photo(target, bands, photo.metadata.for_size(output_size), quality=task.quality, subsampling=task.subsampling)
    return Outcome(input_size, output_size, (*photo.warnings, *_losses(photo.image, target)))


def _losses(image: AnyImage, target: Path) -> Iterator[str]:
    """What of the photo the result does not hold."""
    ending = target.suffix.lower()
    if image.ndim == 3 and image.shape[2] in (2, 4) and ending in (".jpg", ".jpeg", ".bmp"):
        yield f"{ending} holds no transparency"
    deep = {"uint16": (".png", ".tif", ".tiff"), "float32": (".tif", ".tiff")}
    if image.dtype != "uint8" and ending not in deep[str(image.dtype)]:
        yield f"{ending} does not hold {image.dtype}: written with fewer levels"
    if image.dtype == "float32" and not 0 <= image.min() <= image.max() <= 1:
        yield f"values from {image.min():.3g} to {image.max():.3g} are cut off at 0 and 1"
