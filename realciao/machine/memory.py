"""Peak memory of a call, in a process of its own, so that nothing before it counts."""

import contextlib
import ctypes
import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from realciao.errors import UserError

STATUS = Path("/proc/self/status")


def peak_bytes(prepare: Callable[..., tuple[Callable[[], object], str]], *args: Any) -> int:
    """Bytes that a call needs beyond what was there before it.

    Args:
        prepare: a function of a module, which is given `args` in a new process and returns the call and its device.

    Raises:
        UserError: the process was ended, as the system does when memory runs out.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(_measure, prepare, args).result()
    except BrokenProcessPool as error:
        raise UserError("a process that measures memory was ended; is there enough of it? (fewer --sizes)") from error


def _measure(prepare: Callable[..., tuple[Callable[[], object], str]], args: tuple[Any, ...]) -> int:
    import torch

    call, device = prepare(*args)
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize()
        torch.accelerator.reset_peak_memory_stats()
        before = torch.accelerator.memory_allocated()
        call()
        torch.accelerator.synchronize()
        return torch.accelerator.max_memory_allocated() - before
    forget_peak_rss()
    before = peak_rss()
    call()
    return peak_rss() - before


def forget_peak_rss() -> None:
    """Lets `peak_rss` count from here; elsewhere than on Linux with glibc what was before counts on."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what has been freed is not there for what comes
        Path("/proc/self/clear_refs").write_text("5")


def peak_rss() -> int:
    """The process's largest resident size so far, in bytes.

    Not getrusage's on Linux, because a process started from a larger one reports the larger one's.
    """
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
