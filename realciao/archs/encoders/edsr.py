"""EDSR's trunk ("Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017), without its upsampler."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from realciao.archs.mlp import Count, Width
from realciao.archs.residual import ResidualBlock
from realciao.registry import ARCH_REGISTRY


@ARCH_REGISTRY.register()
class EDSREncoder(nn.Module):
    """Residual blocks without normalisation between two convolutions; the baseline is 16 blocks of 64 channels.

    It subtracts no mean and scales no range: the network around it does (BasicSR's EDSR does both inside).
    """

    multiple = 1

    def __init__(self, num_feat: Width = 64, num_block: Count = 16, res_scale: float = 1.0) -> None:
        super().__init__()
        self.out_dim = num_feat
        self.reach_px = 2 * num_block + 2
        self.conv_first = nn.Conv2d(3, num_feat, 3, padding=1)
        self.body = nn.Sequential(*[ResidualBlock(num_feat, res_scale) for _ in range(num_block)])
        self.conv_after_body = nn.Conv2d(num_feat, num_feat, 3, padding=1)

    def forward(self, lq: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        shallow: torch.Tensor = self.conv_first(lq)
        return self.conv_after_body(self.body(shallow)) + shallow
