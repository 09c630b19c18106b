"""Random streams by number: what a sample is follows from (seed, number), never from who draws it or when."""

from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache

import numpy as np
from jaxtyping import Int


class Stream(IntEnum):
    """Kinds of numbered streams: keys are shared, the top word of Philox's counter differs, so none meets another."""

    DRAW = 0
    STEP = 1
    EPOCH = 2
    EVAL = 3


def stream(seed: int, number: int, kind: Stream = Stream.DRAW) -> np.random.Generator:
    """The generator of stream `number` of a kind; for draws it is `Generator(Philox(key=[seed, draw]))`."""
    key = np.array([seed, number], dtype=np.uint64)
    counter = np.array([0, 0, 0, kind], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def candidates(draw: int, count: int, seed: int) -> Iterator[int]:
    """The entry of a collection that draw number `draw` uses, then the ones that stand in for it, each entry once.

    Every run of `count` draws is an epoch: a seeded permutation of the entries. What stands in for an entry is its
    successor in the order of the files, the same in every epoch.
    """
    epoch, place = divmod(draw, count)
    first = int(_permutation(count, seed, epoch)[place])
    return ((first + offset) % count for offset in range(count))


@lru_cache(maxsize=4)
def _permutation(count: int, seed: int, epoch: int) -> Int[np.ndarray, "count"]:
    return stream(seed, epoch, Stream.EPOCH).permutation(count)
