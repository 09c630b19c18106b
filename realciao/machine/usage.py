"""Memory of this process: as it stands, and at its highest."""

import torch

from realciao.machine.memory import forget_peak_rss, peak_rss

GIB = 2**30


def memory_gib(device: torch.device) -> float:
    """On an accelerator the most that was allocated there so far, on a CPU what the process occupies now; in GiB."""
    if device.type == "cpu":
        import psutil

        return psutil.Process().memory_info().rss / GIB
    return torch.accelerator.max_memory_allocated(device) / GIB


def forget_peak(device: torch.device) -> None:
    """Lets `peak_gib` count from here."""
    if device.type == "cpu":
        forget_peak_rss()
    else:
        torch.accelerator.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> float:
    """The most that there was since `forget_peak`, in GiB: allocated on an accelerator, or occupied by the process."""
    return (peak_rss() if device.type == "cpu" else torch.accelerator.max_memory_allocated(device)) / GIB
