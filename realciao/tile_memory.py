"""How large a tile may be: what an LR pixel costs a network's encoder, and how much memory there is."""

from typing import Any

import psutil
import torch
from torch import nn

WHOLE_PX = 256
"""Images of at most WHOLE_PX x WHOLE_PX pixels are not tiled."""
CPU_TILE_PX = 192
"""Larger tiles save little: their halo is a small share already."""
GPU_TILE_PX = 1024
SMALLEST_TILE_PX = 32
SHARE = 0.5
"""Of the free memory; the rest is for the result, the decoder's bands, and other programs."""
ALIVE = 3
"""How many inputs and outputs of its largest layer an encoder holds at once, measured: 2 to 3."""


def choose_tile(net: Any, device: torch.device, dtype: torch.dtype, size: tuple[int, int], halo_px: int) -> int:
    """Edge of a tile's interior in LR pixels for an image of `size`; 0 for the whole at once."""
    room = SHARE * free_bytes(device) / bytes_per_pixel(net, device, dtype)
    if size[0] * size[1] <= min(room, WHOLE_PX**2):
        return 0
    largest = int(room**0.5) - 2 * halo_px
    wanted = GPU_TILE_PX if device.type == "cuda" else CPU_TILE_PX
    return max(SMALLEST_TILE_PX, min(wanted, largest))


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
    side = 4 * net.multiple
    while side < 16:
        side += net.multiple
    largest = 0

    def look(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        numbers = sum(t.numel() for t in (*inputs, output) if isinstance(t, torch.Tensor))
        largest = max(largest, numbers)

    hooks = [m.register_forward_hook(look) for m in encoder.modules() if not any(m.children())]
    try:
        encoder(torch.zeros(1, 3, side, side, device=device, dtype=dtype))
    finally:
        for hook in hooks:
            hook.remove()
    return ALIVE * largest / side**2 * dtype.itemsize
