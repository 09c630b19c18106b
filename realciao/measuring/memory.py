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
    with contextlib.suppress(
        OSError, AttributeError
    ):  # elsewhere than on Linux with glibc, the preparation's peak counts
        ctypes.CDLL(None).malloc_trim(0)  # what the preparation has freed is not there for the call
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    before = peak_rss_bytes()
    call()
    return peak_rss_bytes() - before


def high_water_mib(device: Any) -> float:
    """The most memory, in MiB, that the process has had so far: of a CUDA device what torch allocated there, else resident."""
    import torch

    on_gpu = torch.device(device).type == "cuda"
    return (torch.cuda.max_memory_allocated(device) if on_gpu else peak_rss_bytes()) / 2**20


def peak_rss_bytes() -> int:
    """The process's largest resident size so far; 0 where the system does not tell.

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
