"""Decoded images by number, with a mark on the files that cannot be read."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from realciao.data.headers import upright_size
from realciao.errors import UserError
from realciao.image import ImageError, read_image

CACHE_BYTES = 128 * 2**20
"""Decoded pixels that one process keeps: small collections are decoded once, large ones cost no more than this."""

_logger = logging.getLogger("realciao")

Entry = tuple[Path, ...]
"""The files that are used together: (photo,) or (lq, gt)."""

Images = tuple[np.ndarray, ...]
"""What they hold, each as `read_image` returns it; h, w and c are each image's own."""


class Shelf:
    """The readable entries of a collection.

    Files whose header cannot be read are left out here; those that turn out to be broken later are marked in shared
    memory, so that all worker processes together report each of them once.

    Raises:
        UserError: no header can be read.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries: list[Entry] = []
        self.sizes: list[tuple[tuple[int, int], ...]] = []
        self.dropped = 0
        for entry in entries:
            try:
                sizes = tuple(upright_size(path) for path in entry)
            except ImageError as error:
                self.dropped += 1
                _logger.warning("skipped an unreadable file: %s", error)
            else:
                self.entries.append(entry)
                self.sizes.append(sizes)
        if not self.entries:
            raise UserError(f"none of the {len(entries)} images can be read; the first is {entries[0][0]}")
        self._broken = torch.zeros(len(self.entries), dtype=torch.bool).share_memory_()
        self._cache: OrderedDict[int, Images] = OrderedDict()
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def skipped(self) -> int:
        """Entries given up so far, by this process or its workers."""
        return self.dropped + int(self._broken.sum())

    def read(self, index: int) -> Images | None:
        """The images of an entry as they are stored, not to be written to; None if one of them is broken."""
        if self._broken[index]:
            return None
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        try:
            images = tuple(read_image(path) for path in self.entries[index])
        except ImageError as error:
            self._broken[index] = True
            _logger.warning("skipped an unreadable file: %s", error)
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


def _bytes(images: Images) -> int:
    return sum(image.nbytes for image in images)
