"""The image itself as its feature map, for decoders that read no features."""

from jaxtyping import Float
from torch import Tensor, nn

from realciao.registry import ARCH_REGISTRY


@ARCH_REGISTRY.register()
class IdentityEncoder(nn.Module):
    """Three channels: the normalised colours."""

    out_dim = 3
    multiple = 1
    reach_px = 0

    def forward(self, lq: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        return lq
