"""Memory of this process, as it stands."""

import torch

GIB = 2**30


def memory_gib(device: torch.device) -> float:
    """On an accelerator the most that was allocated there so far, on a CPU what the process occupies now; in GiB."""
    if device.type == "cpu":
        import psutil

        return psutil.Process().memory_info().rss / GIB
    return torch.accelerator.max_memory_allocated(device) / GIB
