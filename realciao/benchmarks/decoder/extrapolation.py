"""The time of the published way from two of its chunks: the whole of a large image would take half an hour."""

import math


def extrapolate(
    encoder: float,
    non_local: float,
    rest: float,
    *,
    timed: int,
    queries: int,
    chunk: int,
    hoisted: bool = False,
) -> float:
    """What a run of some chunks would take for all of them.

    Args:
        encoder: what the run spent once.
        non_local: what it spent in the non-local attention, which takes the same whatever the size of a chunk.
        rest: what it spent on the queries themselves.
        timed: the run's chunks.
        queries: of the image.
        chunk: queries of a chunk; of the last, what is left.
        hoisted: the attention was computed once, not in every chunk.
    """
    if not hoisted:
        non_local *= math.ceil(queries / chunk) / timed
    return encoder + non_local + rest / min(queries, timed * chunk) * queries
