"""RDN's trunk ("Residual Dense Network for Image Super-Resolution", CVPR 2018), without its upsampler."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from realciao.archs.mlp import Width
from realciao.registry import ARCH_REGISTRY


class _DenseLayer(nn.Module):
    """Adds `growth` channels to those that it reads."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, growth, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        return torch.cat([x, F.relu(self.conv(x))], dim=1)


class _ResidualDenseBlock(nn.Module):
    """Dense layers, fused by a 1x1 convolution (`lff`, local feature fusion), plus the block's input."""

    def __init__(self, num_feat: int, num_layer: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*[_DenseLayer(num_feat + growth * i, growth) for i in range(num_layer)])
        self.lff = nn.Conv2d(num_feat + growth * num_layer, num_feat, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.lff(self.layers(x))


@ARCH_REGISTRY.register()
class RDNEncoder(nn.Module):
    """Residual dense blocks, all of whose outputs are fused; the defaults are the paper's larger network ("B" in its code).

    Parameter names are those of the released CiaoSR (`sfe`: shallow feature extraction, `gff`: global feature fusion).
    """

    multiple = 1

    def __init__(self, num_feat: Width = 64, num_block: Width = 16, num_layer: Width = 8, growth: Width = 64) -> None:
        super().__init__()
        self.out_dim = num_feat
        self.reach_px = num_block * num_layer + 3  # 3x3 convolutions from the image to the map
        self.sfe1 = nn.Conv2d(3, num_feat, 3, padding=1)
        self.sfe2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.rdbs = nn.ModuleList([_ResidualDenseBlock(num_feat, num_layer, growth) for _ in range(num_block)])
        self.gff = nn.Sequential(
            nn.Conv2d(num_feat * num_block, num_feat, 1), nn.Conv2d(num_feat, num_feat, 3, padding=1)
        )

    def forward(self, lq: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        shallow = self.sfe1(lq)
        x = self.sfe2(shallow)
        outputs = []
        for block in self.rdbs:
            x = block(x)
            outputs.append(x)
        return self.gff(torch.cat(outputs, dim=1)) + shallow
