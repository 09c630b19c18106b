"""A run that is asked to end leaves nothing half done behind."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What schedulers and `kill` send, and a terminal that is closed."""


@contextmanager
def tidy_when_ended() -> Iterator[None]:
    """In the block these signals act as Ctrl-C does: the file in hand is removed. The exit status is 128 + the signal's number.

    One that is ignored, as by `nohup`, stays so.
    """

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    former = {number: signal.signal(number, end) for number in SIGNALS if signal.getsignal(number) is signal.SIG_DFL}
    try:
        yield
    except SystemExit as ended:
        names = {128 + number: signal.Signals(number).name for number in former}
        print(f"ended by {names.get(ended.code, ended.code)}; --resume goes on", file=sys.stderr)
        raise
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
