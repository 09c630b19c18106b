"""The block of which EDSR and the small encoder consist."""

from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """conv, ReLU, conv, and a skip over them; parameter names and initial weights are those of BasicSR's ResidualBlockNoBN.

    Not BasicSR's own, because to import that takes longer than to upscale a photo.
    """

    def __init__(self, num_feat: int, res_scale: float = 1.0) -> None:
        super().__init__()
        self.res_scale = res_scale
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, feat: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return feat + self.conv2(self.relu(self.conv1(feat))) * self.res_scale
