"""Real-ESRGAN's small network (SRVGGNetCompact), for videos and for CPUs. rrdbnet.py says why it is written anew."""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from realciao.archs.mlp import Count, Width
from realciao.registry import ARCH_REGISTRY


@ARCH_REGISTRY.register(suffix="realciao")
class SRVGGNetCompact(nn.Module):
    """Convolutions and activations in turn at the size of the image, pixel shuffle, and the nearest pixel added.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: of the output.
        num_feat: channels in between.
        num_conv: convolutions in between.
        upscale: what it enlarges by.
        act_type: relu, prelu or leakyrelu.
    """

    def __init__(
        self,
        num_in_ch: Width = 3,
        num_out_ch: Width = 3,
        num_feat: Width = 64,
        num_conv: Count = 16,
        upscale: Width = 4,
        act_type: Literal["relu", "prelu", "leakyrelu"] = "prelu",
    ) -> None:
        super().__init__()
        self.upscale = upscale

        def activation() -> nn.Module:
            if act_type == "prelu":
                return nn.PReLU(num_feat)
            return nn.ReLU(inplace=True) if act_type == "relu" else nn.LeakyReLU(0.1, inplace=True)

        layers = [nn.Conv2d(num_in_ch, num_feat, 3, padding=1), activation()]
        for _ in range(num_conv):
            layers += [nn.Conv2d(num_feat, num_feat, 3, padding=1), activation()]
        layers.append(nn.Conv2d(num_feat, num_out_ch * upscale**2, 3, padding=1))
        self.body = nn.Sequential(*layers)
        self.upsampler = nn.PixelShuffle(upscale)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d H W"]:
        return self.upsampler(self.body(x)) + F.interpolate(x, scale_factor=self.upscale, mode="nearest")
