"""How fast a run goes, what it waits for, when it will be done, and how its losses stand."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TypeVar

from torch import Tensor

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
        self._in_hand: tuple[float, float] | None = None

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items; the time that each takes to come is waiting, the time until the next is asked for is work."""
        iterator = iter(items)
        asked = time.perf_counter()
        for item in iterator:
            came = time.perf_counter()
            self._in_hand = asked, came
            yield item
            done = time.perf_counter()
            self._steps.append((came - asked, done - asked))
            self._in_hand, asked = None, done

    def summary(self) -> dict[str, float]:
        """images_per_s, and data_share: the part of the time spent waiting for data, 0 to 1."""
        steps, waited, took = self._totals()
        return {
            "images_per_s": round(self.images_per_step * steps / took, 2) if took else 0.0,
            "data_share": round(waited / took, 4) if took else 0.0,
        }

    def eta(self, steps_left: int) -> str:
        """h:mm:ss for so many more steps at the speed of late; "unknown" before the first."""
        steps, _, took = self._totals()
        return str(timedelta(seconds=round(steps_left * took / steps))) if steps else "unknown"

    def _totals(self) -> tuple[int, float, float]:
        """Steps in the window, the one in hand included, the seconds they waited, and those they took."""
        steps = list(self._steps)
        if self._in_hand:
            asked, came = self._in_hand
            steps.append((came - asked, time.perf_counter() - asked))
        return len(steps), sum(waited for waited, _ in steps), sum(took for _, took in steps)


class LossMeans:
    """Losses, each as its mean over the steps that had it: not every step moves the generator."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: dict[str, Tensor]) -> None:
        """Those of a step, detached."""
        for name, loss in losses.items():
            self._sums[name] = self._sums[name] + loss if name in self._sums else loss
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, Tensor]:
        """The means, from which the next ones begin anew."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means
