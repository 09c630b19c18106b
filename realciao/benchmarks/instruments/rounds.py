"""Rounds in which every way has its turn, so that what slows a machine for a while slows them all."""

import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def interleave(
    ways: Mapping[str, Callable[[], T]], rounds: int, done: Callable[[str], None] = lambda name: None
) -> dict[str, list[T]]:
    """What each way returned in each round; each round begins with another way.

    Args:
        done: told after each turn whose it was.
    """
    results: dict[str, list[T]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(rounds):
        start = turn % max(1, len(names))
        for name in names[start:] + names[:start]:
            results[name].append(ways[name]())
            done(name)
    return results


def median_ratio(above: Iterable[float], below: Iterable[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
