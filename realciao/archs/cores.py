"""Small tensor operations on several cores: a core for each piece of work, rather than all cores for each operation."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import TypeVar

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_on_cores(function: Callable[[Item], Result], items: Iterable[Item], device: torch.device) -> list[Result]:
    """`[function(item) for item in items]`; on a CPU, where no gradients are wanted, as many at a time as torch has threads.

    Sharing out operations of a tenth of a millisecond costs threads more time than it saves them.
    """
    threads = torch.get_num_threads()
    watched = torch.is_grad_enabled() or torch.compiler.is_compiling() or _get_current_dispatch_mode_stack()
    if device.type != "cpu" or threads == 1 or watched:  # what watches operations does so in its own thread alone
        return [function(item) for item in items]
    torch.set_num_threads(1)  # of each operation; read by the new threads
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(_without_grad, repeat(function), items, repeat(torch.is_inference_mode_enabled())))
    finally:
        torch.set_num_threads(threads)


def _without_grad(function: Callable[[Item], Result], item: Item, inference: bool) -> Result:
    """As the calling thread does it: the modes are each thread's own."""
    with torch.inference_mode(inference), torch.no_grad():
        return function(item)
