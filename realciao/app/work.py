"""Work that takes long, in a thread of its own, told of step by step, and stopped when nobody listens any more."""

import queue
import threading
import time
import traceback
from collections.abc import Callable, Generator
from typing import Any

from realciao.errors import UserError

Message = dict[str, Any]
"""`progress` (share done, None while that is unknown) with `left_s`; at the end `done` (what the work returns), `error` (one
sentence), or `stopped`."""
Report = Callable[[float], None]
"""Called with the share that is done, 0 to 1; raises where the work is to end."""

SAY_EVERY_S = 0.4
_turn = threading.Lock()
"""One piece of work at a time; one that was given up may still be busy with its last rows."""


class Stopped(Exception):  # noqa: N818  (no error: it was asked for)
    """Nobody wants the result any more."""


def run(work: Callable[[Report], Message], minutes: float, ended: threading.Event) -> Generator[Message, None, None]:
    """Does the work, and yields how far it is at least every SAY_EVERY_S; closing the iterator stops it.

    Args:
        work: gets the function to report by, which it should call often.
        minutes: it may take.
        ended: set from outside, stops it too.
    """
    said: queue.SimpleQueue[Message] = queue.SimpleQueue()
    closed = threading.Event()

    def do() -> None:
        with _turn:
            began = time.monotonic()

            def report(share: float) -> None:
                seconds = time.monotonic() - began
                if closed.is_set() or ended.is_set():
                    raise Stopped
                if seconds > 60 * minutes:
                    raise UserError(
                        f"stopped after {minutes:g} minutes, the most on this server; choose a smaller size"
                    )
                left = seconds * (1 - share) / share if share > 0 else None
                said.put({"progress": share, "left_s": left})

            said.put(_outcome(work, report))

    threading.Thread(target=do, daemon=True).start()
    message: Message = {"progress": None, "left_s": None}
    try:
        while "progress" in message:
            yield message
            until = time.monotonic() + SAY_EVERY_S
            while "progress" in message and (left := until - time.monotonic()) > 0:
                try:
                    message = said.get(timeout=left)
                except queue.Empty:
                    break
        yield message
    finally:
        closed.set()


def _outcome(work: Callable[[Report], Message], report: Report) -> Message:
    try:
        report(0)
        return {"done": work(report)}
    except Stopped:
        return {"stopped": True}
    except UserError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "out of memory; choose a smaller size"}
    except Exception:
        traceback.print_exc()
        return {"error": "something went wrong in the server; the terminal in which it runs says what"}
