"""Which of several processes this is, as accelerate launch and torchrun tell them."""

import os

import torch


def process_rank() -> tuple[int, int]:
    """The number of this process, and how many there are."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def own_device(device: str) -> str:
    """Every process on a GPU of its own."""
    local = os.environ.get("LOCAL_RANK")
    if device == "auto" and local is not None and process_rank()[1] > 1:
        return f"cuda:{int(local) % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    return device
