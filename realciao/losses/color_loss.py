"""Colours at low frequency."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from realciao.registry import LOSS_REGISTRY


@LOSS_REGISTRY.register()
class LowFrequencyColorLoss(nn.Module):
    """Mean absolute difference of the colours of blocks of `size_px` x `size_px`: what must not drift while detail is made up.

    Args:
        size_px: edge of a block, in HR pixels; what is left over at the right and at the bottom is not looked at.
        loss_weight: factor.
    """

    def __init__(self, size_px: int = 16, loss_weight: float = 1.0) -> None:
        super().__init__()
        if size_px < 1:
            raise ValueError(f"size_px must be positive, is {size_px}")
        self.size_px = size_px
        self.loss_weight = loss_weight

    def forward(self, pred: Float[Tensor, "b 3 h w"], gt: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """The loss. Raises ValueError for random points, and for windows smaller than a block."""
        if min(pred.shape[-2:]) < self.size_px:
            height, width = pred.shape[-2:]
            raise ValueError(
                f"a block of {self.size_px} px does not fit into {height} x {width}: set window in datasets.train"
            )
        return self.loss_weight * avg_pool2d(pred - gt, self.size_px).abs().mean()
