"""Devices and number types by name, and what running out of memory looks like."""

from typing import Literal

import torch

from realciao.errors import UserError
from realciao.machine.allocator import keep_freed_memory

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


def choose_device(device: str | torch.device) -> torch.device:
    """The device by name; "auto" is CUDA where there is one, else MPS, else CPU. UserError where it is missing.

    For a CPU, the process's allocator is told to keep what is freed, see `keep_freed_memory`.
    """
    chosen = _find_device(device)
    if chosen.type == "cpu":
        keep_freed_memory()
    return chosen


def _find_device(device: str | torch.device) -> torch.device:
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(kind for kind, here in available.items() if here))
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UserError(f"device '{device}' is not known; give auto, cpu, cuda or mps") from None
    if not available.get(chosen.type, False) or (
        chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()
    ):
        raise UserError(f"device '{device}' is not available here; give auto or cpu")
    return chosen


def choose_dtype(dtype: Dtype, device: torch.device) -> torch.dtype:
    """The type by name; "auto" is bfloat16 on CUDA devices that compute in it, else float32."""
    names = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported(False) else torch.float32
    if dtype not in names:
        raise UserError(f"dtype '{dtype}' is not known; give auto, {', '.join(names)}")
    return names[dtype]


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception says that memory, of the device or of the machine, did not suffice."""
    words = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
    said = str(error).lower()
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(word in said for word in words))
