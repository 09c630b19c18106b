"""How far a command is, on standard error."""

import math
import sys
import time
from datetime import timedelta

REPORT_EVERY_S = 10.0
"""Between lines where standard error is no terminal."""
RENEW_EVERY_S = 0.2
"""Between two states of the one line on a terminal."""


class ProgressLine:
    """One line that is renewed on a terminal, else a line now and then.

    Args:
        total: the images to do, or what `unit` says.
        unit: of `total`, e.g. "Mpx"; "" for images.
    """

    def __init__(self, total: float, unit: str = "") -> None:
        self.total = total
        self.unit = unit
        self.live = sys.stderr.isatty()
        self.began = self.shown = time.monotonic()

    def show(self, done: float, text: str) -> None:
        """Says which image is in hand, `text`, and the time left, unless it was said just now.

        Args:
            done: the images done, more than 0; 2.5 is the third when half of it is done.
        """
        now = time.monotonic()
        if done <= 0 or now - self.shown < (RENEW_EVERY_S if self.live else REPORT_EVERY_S):
            return
        self.shown = now
        left = timedelta(seconds=round((now - self.began) * (self.total - done) / done))
        count = f"{_short(done)}/{_short(self.total)} {self.unit}" if self.unit else f"{math.ceil(done)}/{self.total}"
        line = f"{count} {text}, {left} left"
        print(f"\r\033[K{line}" if self.live else line, end="" if self.live else "\n", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Wipes the line that is being renewed, so that something else can be printed; `show` may follow."""
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"
