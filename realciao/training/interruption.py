"""Signals that ask a run to stop: it ends after the step in hand, with its state saved."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger("realciao")

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]
"""Ctrl-C, and what schedulers send before they take a machine away."""
AGAIN_S = 1.0


class Interrupted(Exception):  # noqa: N818  (it is no error)
    """The run was asked to stop, and its state is saved.

    Args:
        message: what is saved where.
        number: of the signal.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.status = 128 + number
        """Exit status, as shells count: 130 for SIGINT, 143 for SIGTERM, 138 for SIGUSR1 (on Linux)."""


class Interruption:
    """Which signal this process got, 0 as long as there was none."""

    def __init__(self) -> None:
        self.number = 0
        self._first = 0.0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """The first signal in the block is noted; one that comes a second later or more acts as if nobody watched."""
        previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.number and time.monotonic() - self._first < AGAIN_S:  # a launcher passes on what the terminal has sent
            return
        if self.number:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            signal.raise_signal(number)
            return
        self.number, self._first = number, time.monotonic()
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        logger.info("%s: stopping after this step; once more stops at once", name)
