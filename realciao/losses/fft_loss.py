"""Distance of spectra."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from realciao.registry import LOSS_REGISTRY


@LOSS_REGISTRY.register()
class FFTLoss(nn.Module):
    """Mean absolute difference of the 2-D Fourier coefficients, real and imaginary parts alike, of windows.

    The transform is orthonormal, so the loss is of the size of an L1 loss on pixels; it weighs every frequency alike, where
    pixels weigh by amplitude (Cho et al., "Rethinking coarse-to-fine approach in single image deblurring", ICCV 2021).

    Args:
        loss_weight: factor.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, pred: Float[Tensor, "b 3 h w"], gt: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """The loss. Raises ValueError for random points, which have no spectrum."""
        if pred.shape[-2] == 1:
            raise ValueError("wants windows, not random points: set window in datasets.train")
        spectrum = torch.fft.rfft2((pred - gt).float(), norm="ortho")
        return self.loss_weight * torch.view_as_real(spectrum).abs().mean()
