"""Difference of gradients: what an L1 loss gives away where it doubts, and an eye sees first."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from realciao.registry import LOSS_REGISTRY

LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
STABILITY = 170 / 255**2
"""The constant of GMSD, which is given for levels of 0 to 255."""


@LOSS_REGISTRY.register()
class GradientSimilarityLoss(nn.Module):
    """Root mean square of 1 - GMS, the similarity of gradient magnitudes of Y at half the size, in windows of images in [0, 1].

    GMS is the map whose standard deviation is GMSD (Xue et al., "Gradient magnitude similarity deviation", IEEE TIP 2014); the
    mean square is that deviation's square plus that of the mean, so that what is equally wrong everywhere costs too. The mean
    is that of each image's.

    Args:
        loss_weight: factor.
    """

    luma: Tensor
    prewitt: Tensor

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        across = torch.tensor([[1.0, 0.0, -1.0]]).expand(3, 3) / 3  # Prewitt's
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("prewitt", torch.stack([across, across.T]).unsqueeze(1), persistent=False)

    def forward(self, pred: Float[Tensor, "b 3 h w"], gt: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """The loss. Raises ValueError for random points, which have no gradient, and windows below 6 x 6."""
        if min(pred.shape[-2:]) < 6:
            raise ValueError("wants windows of 6 x 6 or more, not random points: set window in datasets.train")
        a, b = self._magnitude(pred.float()), self._magnitude(gt.float())
        # 1 - (2ab + c) / (a^2 + b^2 + c), without its cancellation
        unlike = (a - b).square() / (a.square() + b.square() + STABILITY)
        return self.loss_weight * (unlike.square().mean((1, 2, 3)) + 1e-12).sqrt().mean()

    def _magnitude(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h2 w2"]:
        half = F.avg_pool2d((image * self.luma).sum(1, keepdim=True), 2)
        return (F.conv2d(half, self.prewitt).square().sum(1, keepdim=True) + 1e-12).sqrt()
