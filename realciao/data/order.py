"""Which entry of a collection a draw uses."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from jaxtyping import Int

from realciao.data.randomness import Stream, stream


def candidates(draw: int, count: int, seed: int) -> Iterator[int]:
    """The entry that draw number `draw` uses, then the ones that stand in for it, each entry once.

    Every run of `count` draws is an epoch: a seeded permutation of the entries. What stands in for an entry is its
    successor in the order of the files, the same in every epoch.
    """
    epoch, place = divmod(draw, count)
    first = int(_permutation(count, seed, epoch)[place])
    return ((first + offset) % count for offset in range(count))


@lru_cache(maxsize=4)
def _permutation(count: int, seed: int, epoch: int) -> Int[np.ndarray, "count"]:
    return stream(seed, epoch, Stream.EPOCH).permutation(count)
