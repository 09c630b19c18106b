"""The machine: devices, memory, disk, and what a container may have left too small."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from realciao.doctor import Finding, check

GIB = 2**30
SHM = Path("/dev/shm")
LEAST_DISK_GIB = 5
LEAST_MEMORY_GIB = 4
LEAST_SHM_GIB = 1
LEAST_FILES = 1024


@check
def device() -> Iterator[Finding]:
    """Which devices torch sees, and whether the first of them computes."""
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            half = "with" if torch.cuda.is_bf16_supported() else "without"
            yield Finding("cuda", "ok", f"{facts.name}, {facts.total_memory / GIB:.0f} GiB, {half} bfloat16")
        yield _computes("cuda")
    elif torch.backends.mps.is_available():
        yield Finding("mps", "ok", "Apple's GPU; what it lacks runs on the CPU with PYTORCH_ENABLE_MPS_FALLBACK=1")
        yield _computes("mps")
    elif Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi"):
        build = f"torch {torch.__version__} was built for CUDA {torch.version.cuda}"
        cure = "update the driver to one for that CUDA, or install a torch for the driver's (nvidia-smi names it)"
        yield Finding("cuda", "warn", f"an NVIDIA GPU is there, but torch does not see it: {build}", cure)
    else:
        threads = os.environ.get("OMP_NUM_THREADS", "not set")
        yield Finding("device", "ok", f"CPU, {os.cpu_count()} cores, OMP_NUM_THREADS {threads}")


@check
def memory() -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available / GIB
    enough = free >= LEAST_MEMORY_GIB
    cure = "" if enough else "close other programs; lower batch_size, num_workers and lq_size"
    yield Finding("memory", "ok" if enough else "warn", f"{free:.1f} GiB free", cure)


@check
def disk() -> Iterator[Finding]:
    """Where runs are written, and where programs put what is temporary."""
    for name, folder in (("disk", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free / GIB
        writable = os.access(folder, os.W_OK)
        state = "ok" if free >= LEAST_DISK_GIB and writable else "fail" if free < 0.5 or not writable else "warn"
        room = (
            "make room" if name != "disk" else "make room, or write runs elsewhere: --set path.experiments_root=FOLDER"
        )
        found = f"{free:.1f} GiB free in {folder}" + ("" if writable else ", which cannot be written")
        yield Finding(name, state, found, room if state != "ok" else "")


@check
def shared_memory() -> Iterator[Finding]:
    """Loader workers hand their batches over through it; containers often give 64 MiB."""
    if not SHM.is_dir():
        return
    free = shutil.disk_usage(SHM).free / GIB
    enough = free >= LEAST_SHM_GIB
    cure = "" if enough else "docker run --shm-size=8g (or --ipc=host); or --set datasets.train.num_workers=0"
    yield Finding("shared memory", "ok" if enough else "warn", f"{free:.1f} GiB free in {SHM}", cure)


@check
def open_files() -> Iterator[Finding]:
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft >= LEAST_FILES or soft == resource.RLIM_INFINITY
    cure = "" if enough else f"ulimit -n {min(65536, hard) if hard > 0 else 65536}: each loader worker opens many"
    yield Finding("open files", "ok" if enough else "warn", f"{soft} at a time", cure)


def _computes(name: str) -> Finding:
    import torch

    try:
        total = torch.ones(8, 8, device=name).mm(torch.ones(8, 8, device=name)).sum().item()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        return Finding(f"{name} computes", "fail", reason, "install a torch that was built for this GPU")
    return Finding(f"{name} computes", "ok" if total == 512 else "fail", f"8 x 8 ones sum to {total:g}")
