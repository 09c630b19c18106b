"""Which images a draw gets: those of its place in the epoch, or of the next entry that is readable and large enough."""

import logging

from realciao.data.order import candidates
from realciao.data.shelf import Images, Shelf
from realciao.errors import UserError

_LISTED = 10


class Supply:
    """Deals out the entries of a shelf by draw number.

    Entries that are always too small are left out, those that are too small for some draws are passed over by these;
    both are reported at once.

    Args:
        shelf: the entries; the shorter side of an entry's first image is its size.
        seed: of the order within each epoch.
        needs_px: sizes that the least and the most demanding draw need.
        why: where the larger comes from, for messages, e.g. "scale 4 with lq_size 48 needs 224 px a side".

    Raises:
        UserError: no entry is large enough for every draw.
    """

    def __init__(self, shelf: Shelf, seed: int, needs_px: tuple[int, int], why: str) -> None:
        least, most = needs_px
        self._shelf = shelf
        self._seed = seed
        self._side_px = [min(sizes[0]) for sizes in shelf.sizes]
        self._usable = [index for index, side in enumerate(self._side_px) if side >= least]
        if max(self._side_px) < most:
            largest = self._side_px.index(max(self._side_px))
            path = shelf.entries[largest][0]
            raise UserError(f"no image is large enough: {why}, and the largest, {path}, has {self._side_px[largest]}")
        self._report(least, most, why)

    @property
    def skipped(self) -> int:
        """Entries that no draw gets: never large enough, or found to be unreadable so far."""
        return self._shelf.skipped + len(self._shelf) - len(self._usable)

    def take(self, draw: int, need_px: int) -> Images:
        """The stored images for `draw`, the first of at least `need_px` a side.

        Raises:
            UserError: every entry of that size is unreadable.
        """
        for place in candidates(draw, len(self._usable), self._seed):
            index = self._usable[place]
            if self._side_px[index] >= need_px and (images := self._shelf.read(index)) is not None:
                return images
        raise UserError(f"no image is left that can be read and has {need_px} px a side; the files were named before")

    def _report(self, least: int, most: int, why: str) -> None:
        logger = logging.getLogger("realciao")
        small = [index for index, side in enumerate(self._side_px) if side < most]
        for index in small[:_LISTED]:
            height, width = self._shelf.sizes[index][0]
            use = "never used" if self._side_px[index] < least else "used for smaller scales only"
            logger.warning("%s: %dx%d is too small (%s): %s", self._shelf.entries[index][0], width, height, why, use)
        if len(small) > _LISTED:
            logger.warning("%d more images are too small like these", len(small) - _LISTED)
