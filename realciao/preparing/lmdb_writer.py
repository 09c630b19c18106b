"""A folder of images as one LMDB in BasicSR's layout, see `realciao.images.lmdb_images`."""

import os
import re
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import lmdb

from realciao.data.photos import unique_names
from realciao.errors import UserError
from realciao.images.lmdb_images import META, SUFFIX
from realciao.images.reading import read_image, read_size, to_png

COMPRESSION = 1
"""Of the PNG files inside: quick to decode."""
COMMIT_EVERY = 500


def make_keys(paths: Sequence[Path]) -> list[str]:
    """BasicSR's keys are ASCII and end at the first dot: stems, with folders where they repeat; other signs become `_`.

    Raises:
        UserError: two files would get the same key.
    """
    keys = [re.sub(r"[^A-Za-z0-9_-]", "_", name) for name in unique_names(paths)]
    first: dict[str, Path] = {}
    for key, path in zip(keys, paths, strict=True):
        if first.setdefault(key, path) != path:
            raise UserError(f"{first[key]} and {path} would both be the LMDB's '{key}'; rename one of the two")
    return keys


def write_lmdb(
    paths: Sequence[Path], target: Path, done: Callable[[int, Path], None] = lambda count, path: None
) -> int:
    """Packs images, each decoded, turned upright, and stored as PNG; the LMDB appears whole or not at all.

    Args:
        paths: the images.
        target: ends in .lmdb; must not be there.
        done: told after each image.

    Returns:
        Bytes of the images.

    Raises:
        UserError: a wrong name, an image that cannot be read, or a disk that is full.
    """
    if target.suffix != SUFFIX:
        raise UserError(f"{target}: the name of an LMDB must end in {SUFFIX}")
    if os.path.lexists(target):
        raise UserError(f"{target} exists; remove it, or give another name")
    keys = make_keys(paths)
    # no PNG is larger than four channels of 16 bits and their rows' filters, give or take its header
    bound = sum(8 * height * width + height + 2**16 for height, width in map(read_size, paths)) + 2**24
    temporary = target.with_name(f".{uuid.uuid4().hex[:12]}.tmp{SUFFIX}")
    try:
        temporary.mkdir(parents=True)
        total = _fill(temporary, list(zip(keys, paths, strict=True)), bound, done)
        os.replace(temporary, target)
    except (OSError, lmdb.Error) as error:
        raise UserError(f"{target}: cannot be written ({error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return total


def _fill(folder: Path, images: list[tuple[str, Path]], bound: int, done: Callable[[int, Path], None]) -> int:
    total, lines = 0, []
    with lmdb.open(str(folder), map_size=bound) as environment:
        for start in range(0, len(images), COMMIT_EVERY):
            with environment.begin(write=True) as transaction:
                for count, (key, path) in enumerate(images[start : start + COMMIT_EVERY], start=start + 1):
                    image = read_image(path)
                    data = to_png(image)
                    transaction.put(key.encode(), data)
                    height, width = image.shape[:2]
                    channels = 1 if image.ndim == 2 else image.shape[2]
                    lines.append(f"{key}.png ({height},{width},{channels}) {COMPRESSION}\n")
                    total += len(data)
                    done(count, path)
        environment.sync(True)
    (folder / META).write_text("".join(lines), encoding="utf-8")
    return total
