"""How large a tile may be: what an LR pixel costs a network's encoder, and how much memory there is."""

import math
from typing import Any

import psutil
import torch
from torch import nn

from realciao.machine.allocator import MMAP_BYTES

LARGEST_TILE_PX = 1024
CPU_TILE_PX = 192
"""A tile on a CPU has at least this edge, and more as long as the encoder needs no more than CPU_BYTES for it and its halo."""
SMALLEST_TILE_PX = 32
SHARE = 0.5
"""Of the free memory; the rest is for the result, the decoder's bands, and other programs."""
ALIVE = 3
"""How many inputs and outputs of its largest layer an encoder holds at once, measured: 2 to 3."""
CPU_BYTES = 2 * ALIVE * MMAP_BYTES
"""Each of its layers' outputs can then be memory used before."""
CPU_MOST_BYTES = 2**30
"""For a tile and its halo on a CPU. Networks that enlarge inside have many numbers per LR pixel in a layer; they get smaller
tiles than CPU_TILE_PX, and do more work for their halos."""


def choose_tile(net: Any, device: torch.device, dtype: torch.dtype, size: tuple[int, int], halo_px: int) -> int:
    """Edge of a tile's interior in LR pixels for an image of `size`; 0 for the whole at once."""
    per_pixel = bytes_per_pixel(net, device, dtype)
    most = CPU_MOST_BYTES if device.type == "cpu" else math.inf
    room = min(SHARE * free_bytes(device), most) / per_pixel
    cheap = CPU_BYTES / per_pixel if device.type == "cpu" else LARGEST_TILE_PX**2
    if size[0] * size[1] <= min(room, max(cheap, CPU_TILE_PX**2), LARGEST_TILE_PX**2):
        return 0
    wanted, largest = (int(pixels**0.5) - 2 * halo_px for pixels in (cheap, room))
    return max(SMALLEST_TILE_PX, min(max(wanted, CPU_TILE_PX), LARGEST_TILE_PX, largest))


def free_bytes(device: torch.device) -> int:
    """Memory of the device that is free."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


@torch.inference_mode()
def bytes_per_pixel(net: Any, device: torch.device, dtype: torch.dtype) -> float:
    """Of the encoder, at its peak: ALIVE times the input and output of its largest layer, found by a run on a small tile."""
    encoder = getattr(net, "encoder", None)
    if encoder is None:
        return 1.0
    # well above the encoder's least side: below that it pads, and the pixels of the padding would be counted too
    least = max(16, 2 * getattr(encoder, "minimum", 1))
    side = -(-max(4 * net.multiple, least) // net.multiple) * net.multiple
    largest = 0

    def look(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        outputs = output if isinstance(output, tuple) else (output,)  # a map and an image
        numbers = sum(t.numel() for t in (*inputs, *outputs) if isinstance(t, torch.Tensor))
        largest = max(largest, numbers)

    layers = [m for m in encoder.modules() if m is encoder or not any(m.children())]
    hooks = [m.register_forward_hook(look) for m in layers]
    try:
        encoder(torch.zeros(1, 3, side, side, device=device, dtype=dtype))
    finally:
        for hook in hooks:
            hook.remove()
    return ALIVE * largest / side**2 * dtype.itemsize
