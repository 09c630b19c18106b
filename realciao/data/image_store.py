"""The images of a training set, dealt out by draw number, and what is known of each file for the whole process."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool

from realciao.errors import UserError
from realciao.images.reading import ImageError, read_image, read_size, size_text
from realciao.randomness import candidates

CACHE_BYTES = 128 * 2**20
"""Decoded pixels that one store keeps in a process: small collections are decoded once, large ones cost no more."""

_LISTED = 10

_logger = logging.getLogger("realciao")

Entry = tuple[Path, ...]
"""The files that are used together: (photo,) or (lq, gt)."""

Images = tuple[np.ndarray, ...]
"""What they hold, each as `read_image` returns it; h, w and c are each image's own."""


class _File(NamedTuple):
    """A file in the state in which it was looked at."""

    path: Path
    mtime_ns: int
    size_bytes: int


_reported: set[_File] = set()


def image_size(path: Path) -> tuple[int, int]:
    """`read_size`, remembered as long as the file does not change. Raises ImageError, which is remembered too."""
    size = _header(_file(path))
    if isinstance(size, ImageError):
        raise ImageError(size.path, size.problem)
    return size


def report_unreadable(error: ImageError) -> None:
    """Names a broken file, once per process however many sets and stages come across it."""
    file = _file(error.path)
    if file not in _reported:
        _reported.add(file)
        _logger.warning("skipped an unreadable file: %s", error)


class ImageStore:
    """The readable entries of a collection.

    Files whose header cannot be read are left out here; those that turn out to be broken later are marked in shared
    memory, so that all worker processes together report each of them once.

    Args:
        entries: the shorter side of an entry's first image is its size.
        seed: of the order within each epoch.

    Raises:
        UserError: no header can be read.
    """

    def __init__(self, entries: Sequence[Entry], seed: int) -> None:
        self.entries: list[Entry] = []
        self.sizes: list[tuple[tuple[int, int], ...]] = []
        for entry in entries:
            try:
                sizes = tuple(image_size(path) for path in entry)
            except ImageError as error:
                report_unreadable(error)
            else:
                self.entries.append(entry)
                self.sizes.append(sizes)
        if not self.entries:
            raise UserError(f"none of the {len(entries)} images can be read; the first is {entries[0][0]}")
        self._seed = seed
        self._count = len(entries)
        self._side_px = [min(sizes[0]) for sizes in self.sizes]
        self._usable = list(range(len(self.entries)))
        self._broken = _broken_marks(tuple(tuple(map(_file, entry)) for entry in self.entries))
        self._cache: OrderedDict[int, Images] = OrderedDict()
        self._cached_bytes = 0

    def require(self, least_px: int, most_px: int, why: str) -> None:
        """Leaves out what is too small for every draw; what is too small for some is passed over by these, see `take`.

        Both are reported at once.

        Args:
            least_px: size that the least demanding draw needs.
            most_px: size that the most demanding draw needs.
            why: where that comes from, for messages, e.g. "scale 4 with lq_size 48 needs 224 px a side".

        Raises:
            UserError: no entry is large enough for every draw.
        """
        largest = max(self._side_px)
        if largest < most_px:
            path = self.entries[self._side_px.index(largest)][0]
            raise UserError(f"no image is large enough: {why}, and the largest, {path}, has {largest}")
        self._usable = [index for index, side in enumerate(self._side_px) if side >= least_px]
        small = [index for index, side in enumerate(self._side_px) if side < most_px]
        for index in small[:_LISTED]:
            use = "never used" if self._side_px[index] < least_px else "used for smaller scales only"
            size = size_text(self.sizes[index][0])
            _logger.warning("%s: %s is too small (%s): %s", self.entries[index][0], size, why, use)
        if len(small) > _LISTED:
            _logger.warning("%d more images are too small like these", len(small) - _LISTED)

    @property
    def skipped(self) -> int:
        """Entries that no draw gets: too small for all, or found to be unreadable so far, by this process or a worker."""
        return self._count - len(self._usable) + int(self._broken[self._usable].sum())

    def take(self, draw: int, need_px: int) -> Images:
        """The stored images for `draw`, not to be written to: those of its place in the epoch, or of the next entry that
        is readable and has at least `need_px` a side.

        Raises:
            UserError: every entry of that size is unreadable.
        """
        for place in candidates(draw, len(self._usable), self._seed):
            index = self._usable[place]
            if self._side_px[index] >= need_px and (images := self._read(index)) is not None:
                return images
        raise UserError(f"no image is left that can be read and has {need_px} px a side; the files were named before")

    def _read(self, index: int) -> Images | None:
        """The images of an entry; None if one of them is broken."""
        if self._broken[index]:
            return None
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        try:
            images = tuple(read_image(path) for path in self.entries[index])
        except ImageError as error:
            self._broken[index] = True
            report_unreadable(error)
            return None
        self._keep(index, images)
        return images

    def _keep(self, index: int, images: Images) -> None:
        self._cache[index] = images
        self._cached_bytes += _bytes(images)
        while self._cached_bytes > CACHE_BYTES:
            _, oldest = self._cache.popitem(last=False)
            self._cached_bytes -= _bytes(oldest)

    def __getstate__(self) -> dict:
        """What a spawned worker gets: everything but the pixels."""
        return self.__dict__ | {"_cache": OrderedDict(), "_cached_bytes": 0}


def _file(path: Path) -> _File:
    try:
        state = path.stat()
    except OSError:
        return _File(path, 0, 0)
    return _File(path, state.st_mtime_ns, state.st_size)


@cache
def _header(file: _File) -> tuple[int, int] | ImageError:
    try:
        return read_size(file.path)
    except ImageError as error:
        return ImageError(error.path, error.problem)  # without the traceback, which holds the bytes of the file


@cache
def _broken_marks(entries: tuple[tuple[_File, ...], ...]) -> Bool[torch.Tensor, "entries"]:
    """A mark for each entry; the same ones for the same files, so that a later stage knows what an earlier one found."""
    return torch.zeros(len(entries), dtype=torch.bool).share_memory_()


def _bytes(images: Images) -> int:
    return sum(image.nbytes for image in images)
