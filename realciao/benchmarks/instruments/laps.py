"""What a call spends, and on which of its parts: of time, or of whatever else a meter reads."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

Reading = Float[np.ndarray, "n"]
Meter = Callable[[], Reading]
"""Reads what has been spent so far."""


def clock(device: torch.device) -> Meter:
    """Reads wall-clock seconds and the CPU seconds of all threads of the process, once the device has nothing left to do."""

    def read() -> Reading:
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        return np.array([time.perf_counter(), time.process_time()])

    return read


class Laps:
    """Adds up what is spent in each part of a call."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.spent: dict[str, Reading] = defaultdict(lambda: np.zeros(len(meter())))
        self.calls: dict[str, int] = defaultdict(int)

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Counts what the block spends as that of `name`."""
        before = self.meter()
        yield
        self.spent[name] = self.spent[name] + self.meter() - before
        self.calls[name] += 1

    @contextmanager
    def watch(self, **modules: nn.Module | None) -> Iterator[None]:
        """Counts what these modules spend in the block, each under the name that it is given here; None is none."""
        hooks = []
        for name, module in modules.items():
            if module is not None:
                lap = _Lap(self, name)
                hooks += [module.register_forward_pre_hook(lap.begin), module.register_forward_hook(lap.end)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def rest(self, whole: str) -> Reading:
        """What `whole` spent outside all other laps."""
        return self.spent[whole] - sum((spent for name, spent in self.spent.items() if name != whole), start=0.0)


class _Lap:
    """A lap that hooks begin and end."""

    def __init__(self, laps: Laps, name: str) -> None:
        self.laps = laps
        self.name = name

    def begin(self, *_: object) -> None:
        self.block = self.laps.lap(self.name)
        self.block.__enter__()

    def end(self, *_: object) -> None:
        self.block.__exit__(None, None, None)
