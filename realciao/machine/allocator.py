"""How glibc's allocator deals with the large tensors that come and go on a CPU."""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
TRIM_BYTES, MMAP_BYTES = 128 << 20, 32 << 20


def keep_freed_memory() -> None:
    """Lets this process use freed memory again, up to 128 MiB of it, where glibc would hand it back to the system.

    By default a freed block of 128 KiB or more goes back, and the next tensor's pages are zeroed and mapped anew, one fault
    each: with a small network that took as long as all of its arithmetic. Larger blocks than 32 MiB still go back at once.
    Left alone are other allocators and systems, and whoever sets glibc's own MALLOC_ or GLIBC_TUNABLES variables.
    """
    chosen = any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ
    if chosen or not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
        mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
