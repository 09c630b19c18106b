"""Random streams by number: what a sample is follows from (seed, number), never from who draws it or when."""

from enum import IntEnum

import numpy as np


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
