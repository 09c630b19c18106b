"""The image files of a folder."""

import os
from pathlib import Path

from realciao.errors import UserError
from realciao.images.lmdb_images import find_lmdb, list_lmdb

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})


def is_image_path(path: str | Path) -> bool:
    """Whether the name ends like an image's, in any case; it is not opened. Hidden files (`._photo.jpg`) are none."""
    path = Path(path)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def list_images(folder: str | Path) -> list[Path]:
    """Every image file below `folder`, linked folders included, in an order that is the same on every machine.

    Of an LMDB, its images.

    Raises:
        UserError: the folder is missing, is no folder, cannot be read, or holds no image.
    """
    folder = Path(folder)
    if find_lmdb(folder) == folder:
        return list_lmdb(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: {'is a file, not a folder' if folder.exists() else 'no such folder'}")
    found = sorted(_walk(folder), key=lambda path: path.relative_to(folder).as_posix())
    if not found:
        raise UserError(f"{folder}: holds no image (looked for {', '.join(sorted(IMAGE_SUFFIXES))} in all its folders)")
    return found


def images_by_name(folder: str | Path, template: str) -> dict[str, Path]:
    """The images below `folder` by the part of their path that `{}` stands for in a template of stems, such as "{}x4".

    Files whose stem does not follow the template are left out, so that both images of a pair may lie in one folder.

    Raises:
        UserError: as list_images; no file follows the template, or two answer to one name.
    """
    before, after = template.split("{}")
    found: dict[str, Path] = {}
    for path in list_images(folder):
        stem = path.stem
        if len(stem) <= len(before + after) or not (stem.startswith(before) and stem.endswith(after)):
            continue
        name = path.relative_to(folder).with_name(stem[len(before) : len(stem) - len(after)]).as_posix()
        if name in found:
            raise UserError(f"{path}: answers to the same name as {found[name]}; keep one of them")
        found[name] = path
    if not found:
        raise UserError(f"{folder}: holds no image named like '{template}'")
    return found


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(parent)
        if real in seen:  # a link back to a folder already walked
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        found += [Path(parent, name) for name in names if is_image_path(name)]
    return found


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot be listed ({error.strerror})") from error
