"""ESRGAN's network ("ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCVW 2018), as Real-ESRGAN has it.

It computes what BasicSR's does, under the same names of parameters. It is written anew because importing BasicSR takes 5
seconds and 230 MB, and `infer.py` needs nothing else of it.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from realciao.archs.mlp import Count, Width
from realciao.errors import OptionError
from realciao.registry import ARCH_REGISTRY

SLOPE = 0.2


class DenseBlock(nn.Module):
    """Five convolutions, each of which reads all before it, and a skip over them."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        widths = [num_feat + i * num_grow_ch for i in range(5)]
        self.conv1, self.conv2, self.conv3, self.conv4 = (nn.Conv2d(n, num_grow_ch, 3, padding=1) for n in widths[:4])
        self.conv5 = nn.Conv2d(widths[4], num_feat, 3, padding=1)
        self.lrelu = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        x1 = self.lrelu(self.conv1(x))
        x2 = self.lrelu(self.conv2(torch.cat((x, x1), 1)))
        x3 = self.lrelu(self.conv3(torch.cat((x, x1, x2), 1)))
        x4 = self.lrelu(self.conv4(torch.cat((x, x1, x2, x3), 1)))
        return self.conv5(torch.cat((x, x1, x2, x3, x4), 1)) * 0.2 + x


class RRDB(nn.Module):
    """Three dense blocks, and a skip over them."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(num_feat, num_grow_ch) for _ in range(3))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return self.rdb3(self.rdb2(self.rdb1(x))) * 0.2 + x


@ARCH_REGISTRY.register(suffix="realciao")
class RRDBNet(nn.Module):
    """RGB in [0, 1] to RGB, `scale` times as large.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: of the output.
        scale: 4; or 2 or 1, for which pixels are first folded into channels (sides must then be multiples of 2 or 4).
        num_feat: channels of the trunk.
        num_block: its blocks.
        num_grow_ch: channels that each convolution of a dense block adds.

    Attributes:
        size_multiple: height and width must be multiples of it.
    """

    def __init__(
        self,
        num_in_ch: Width,
        num_out_ch: Width,
        scale: int = 4,
        num_feat: Width = 64,
        num_block: Count = 23,
        num_grow_ch: Width = 32,
    ) -> None:
        super().__init__()
        if scale not in (1, 2, 4):
            raise OptionError("scale", f"must be 1, 2 or 4, got {scale}")
        self.folded = self.size_multiple = 4 // scale
        self.conv_first = nn.Conv2d(num_in_ch * self.folded**2, num_feat, 3, padding=1)
        self.body = nn.Sequential(*[RRDB(num_feat, num_grow_ch) for _ in range(num_block)])
        self.conv_body = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv_up1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv_up2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv_hr = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv_last = nn.Conv2d(num_feat, num_out_ch, 3, padding=1)
        self.lrelu = nn.LeakyReLU(SLOPE, inplace=True)
        for block in self.body:  # ESRGAN's small initial weights, without which so many skips would explode
            for layer in block.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight)
                    layer.weight.data *= 0.1
                    nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d H W"]:
        feat = F.pixel_unshuffle(x, self.folded) if self.folded > 1 else x
        feat = self.conv_first(feat)
        body_feat = self.conv_body(self.body(feat))
        feat = feat + body_feat
        feat = self.lrelu(self.conv_up1(F.interpolate(feat, scale_factor=2, mode="nearest")))
        feat = self.lrelu(self.conv_up2(F.interpolate(feat, scale_factor=2, mode="nearest")))
        return self.conv_last(self.lrelu(self.conv_hr(feat)))
