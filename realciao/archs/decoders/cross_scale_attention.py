"""CiaoSR's non-local attention: every LR pixel looks for similar patches in the same image at smaller scales (Eq. 7)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from realciao.archs.padding import pad_to_multiple

SOFTMAX_SCALE = 10.0
MIN_NORM = 1e-4
SCORES_PER_SLAB = 2**24
"""Queries are taken in slabs of so many scores (64 MiB), so that memory does not grow with the image's area squared."""


class CrossScaleAttention(nn.Module):
    """Cross-scale patch attention; parameter names are those of the released checkpoints.

    For each scale s: queries are 3x3 patches of one embedding of the map, keys 3x3 patches of another embedding of the map
    shrunk by s, normalised to unit length, values the 3s x 3s patches of a third embedding at the keys' places. The weighted
    values are laid over each other on a map s times as large, which a strided convolution brings back.

    Args:
        channels: channels of the feature map; even.
        scales: subset of {2, 3, 4}; each adds `channels` channels to the result.
    """

    def __init__(self, channels: int, scales: Sequence[int]) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.conv_match_1 = nn.Sequential(nn.Conv2d(channels, channels // 2, 1), nn.PReLU())
        self.conv_match_2 = nn.Sequential(nn.Conv2d(channels, channels // 2, 1), nn.PReLU())
        self.conv_assembly = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.PReLU())
        self.register_buffer("escape_NaN", torch.tensor([MIN_NORM]))
        # the released checkpoints hold `down` (for scale 2) whatever their scales
        for scale in sorted({2, *self.scales}):
            down = nn.Conv2d(channels, channels, 3, stride=scale, padding=1)
            # parameters without a gradient must say so, or distributed training waits for one
            self.add_module(self._down_name(scale), down.requires_grad_(scale in self.scales))

    @staticmethod
    def _down_name(scale: int) -> str:
        return "down" if scale == 2 else f"downx{scale}"

    def forward(self, feat: Float[Tensor, "b c h w"]) -> Float[Tensor, "b cm h w"]:
        """Non-local features, one block of channels a scale."""
        return torch.cat([self._at_scale(feat, scale) for scale in self.scales], dim=1)

    def _at_scale(self, feat: Float[Tensor, "b c h w"], scale: int) -> Float[Tensor, "b c h w"]:
        height, width = feat.shape[2:]
        feat = pad_to_multiple(feat, scale)
        # not antialiased, as published: the mean of 2x2 for scale 2, the centre pixel for 3
        small = F.interpolate(feat, scale_factor=1 / scale, mode="bilinear", align_corners=False)
        query = F.unfold(self.conv_match_1(feat), 3, padding=1)
        key = F.unfold(self.conv_match_2(small), 3, padding=1)
        value = F.unfold(self.conv_assembly(feat), 3 * scale, stride=scale, padding=scale)
        # the logits are large, so scores and softmax are float32 at least, under autocast too
        exact = torch.promote_types(query.dtype, torch.float32)
        with torch.autocast(feat.device.type, enabled=False):
            key = F.normalize(key.to(exact), dim=1, eps=MIN_NORM)
            patches = _attend(query.to(exact), key, value.to(exact))
        size = feat.shape[2] * scale, feat.shape[3] * scale
        large = F.fold(patches, size, 3 * scale, stride=scale, padding=scale).to(feat.dtype)
        down: nn.Module = getattr(self, self._down_name(scale))
        return down(large)[:, :, :height, :width] / 6


def _attend(
    query: Float[Tensor, "b d q"], key: Float[Tensor, "b d l"], value: Float[Tensor, "b e l"]
) -> Float[Tensor, "b e q"]:
    """Softmax attention over all keys, slab by slab of queries."""
    slab = max(1, SCORES_PER_SLAB // key.shape[2])
    scaled_key = SOFTMAX_SCALE * key
    return torch.cat(
        [value @ (scaled_key.transpose(1, 2) @ part).softmax(dim=1) for part in query.split(slab, dim=2)], dim=2
    )
