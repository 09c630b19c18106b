"""How fast a run goes, what it waits for, and when it will be done."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TypeVar

Item = TypeVar("Item")

WINDOW = 200
"""Steps over which the speed is taken: long enough to be steady, short enough to forget the start."""


class Progress:
    """Times the steps of a loop, apart by waiting for data and working.

    Args:
        images_per_step: over all processes.
    """

    def __init__(self, images_per_step: int) -> None:
        self.images_per_step = images_per_step
        self._steps: deque[tuple[float, float]] = deque(maxlen=WINDOW)

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items; the time that each takes to come is waiting, the time until the next is asked for is work."""
        iterator = iter(items)
        asked = time.perf_counter()
        for item in iterator:
            came = time.perf_counter()
            yield item
            done = time.perf_counter()
            self._steps.append((came - asked, done - asked))
            asked = done

    def summary(self) -> dict[str, float]:
        """images_per_s, and data_share: the part of the time spent waiting for data, 0 to 1."""
        waited, took = (sum(column) for column in zip(*self._steps, strict=True)) if self._steps else (0.0, 0.0)
        steps = len(self._steps)
        return {
            "images_per_s": round(self.images_per_step * steps / took, 2) if took else 0.0,
            "data_share": round(waited / took, 4) if took else 0.0,
        }

    def eta(self, steps_left: int) -> str:
        """h:mm:ss for so many more steps at the speed of late."""
        took = sum(step[1] for step in self._steps)
        seconds = steps_left * took / len(self._steps) if self._steps else 0
        return str(timedelta(seconds=round(seconds)))
