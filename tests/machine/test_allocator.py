"""What the allocator's tuning saves: page faults, as the system counts them."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from realciao.machine.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "keep":
    keep_freed_memory()
for turn in range(11):
    if turn == 1:  # the first time every page is new
        start = faults()
    blocks = [bytearray(size << 20) for size in (1, 5, 20)]
    del blocks
print(faults() - start)
"""


def _faults(way: str, **env: str) -> int:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    return int(subprocess.check_output([sys.executable, "-c", PROGRAM, way], env={**kept, **env}))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_freed_memory_is_used_again_unless_the_user_tunes_it_himself():
    default, kept = _faults("leave"), _faults("keep")
    assert kept < default / 10
    assert _faults("keep", MALLOC_MMAP_THRESHOLD_="131072") > 5 * kept
