"""The average of a generator's weights, which is what a run makes."""

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def make_ema(net: nn.Module, decay: float, warmup: bool) -> AveragedModel:
    """An exponential moving average of a network, which starts as its copy.

    Args:
        decay: share of the past that an update keeps.
        warmup: the t-th update after the first keeps (1 + t) / (10 + t) where that is less.
    """

    def average(past: list[Tensor], new: list[Tensor], updates: Tensor | int) -> None:
        t = float(updates)
        get_ema_multi_avg_fn(min(decay, (1 + t) / (10 + t)))(past, new, updates)

    # without warm-up nothing is asked of the device
    return AveragedModel(net, multi_avg_fn=average if warmup else get_ema_multi_avg_fn(decay))  # pyright: ignore[reportArgumentType]
