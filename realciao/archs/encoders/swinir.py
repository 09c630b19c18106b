"""SwinIR's trunk ("SwinIR: Image Restoration Using Swin Transformer", ICCVW 2021), without its upsampler."""

import math
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from msgspec import Meta
from torch import Tensor, nn

from realciao.archs.mlp import Width, Widths
from realciao.archs.padding import pad_to_multiple
from realciao.registry import ARCH_REGISTRY


@ARCH_REGISTRY.register()
class SwinIREncoder(nn.Module):
    """Transformer blocks in windows, every other one shifted by half a window; the defaults are the published SwinIR's.

    BasicSR's SwinIR gives the modules, their names and their initial weights. The way through them is written here: its
    own subtracts a mean, and makes each block's mask anew on the CPU and in float32, wherever and in whatever the features are.

    Args:
        embed_dim: channels of the map; a multiple of every entry of `num_heads`.
        depths: transformer blocks in each residual group.
        num_heads: attention heads in each residual group.
        window_size: edge of a window, in pixels; even.
        mlp_ratio: width of a block's hidden layer, in embed_dim.
        drop_path: how often, in training, a block's branch is left out: this often in the last, less in those before.
        resi_connection: what closes a group: a 3x3 convolution or, as in the large SwinIR, a bottleneck of three.
    """

    def __init__(
        self,
        embed_dim: Width = 180,
        depths: Widths = (6, 6, 6, 6, 6, 6),
        num_heads: Widths = (6, 6, 6, 6, 6, 6),
        window_size: Width = 8,
        mlp_ratio: Annotated[float, Meta(gt=0)] = 2.0,
        drop_path: Annotated[float, Meta(ge=0, lt=1)] = 0.1,
        resi_connection: Literal["1conv", "3conv"] = "1conv",
    ) -> None:
        super().__init__()
        if len(depths) != len(num_heads):
            raise ValueError(f"depths {list(depths)} and num_heads {list(num_heads)} must name the same groups")
        if any(embed_dim % heads for heads in num_heads):
            raise ValueError(f"embed_dim {embed_dim} must be a multiple of every entry of num_heads {list(num_heads)}")
        if window_size < 2 or window_size % 2:
            raise ValueError(f"window_size must be even, got {window_size}")
        from basicsr.archs.swinir_arch import SwinIR  # here, because it takes seconds

        with warnings.catch_warnings(action="ignore"):  # it calls torch.meshgrid the old way
            parts: Any = SwinIR(
                img_size=2 * window_size,  # of one window, it would leave out the shifts
                embed_dim=embed_dim,
                depths=depths,
                num_heads=num_heads,
                window_size=window_size,
                mlp_ratio=mlp_ratio,
                drop_path_rate=drop_path,
                resi_connection=resi_connection,
            )
        self.out_dim = embed_dim
        self.multiple = window_size
        self.reach_px = _reach_px(depths, window_size, conv_px=1 if resi_connection == "1conv" else 2)
        self.conv_first = parts.conv_first
        self.patch_embed = parts.patch_embed
        self.layers = parts.layers
        self.norm = parts.norm
        self.conv_after_body = parts.conv_after_body
        for group in self.layers:
            for block in group.residual_group.blocks:
                block.attn_mask = None  # of one size of image
                index = block.attn.relative_position_index  # follows from the window
                block.attn.register_buffer("relative_position_index", index, persistent=False)

    def forward(self, lq: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        height, width = lq.shape[2:]
        shallow = self.conv_first(pad_to_multiple(lq, self.multiple))
        mask = _shift_mask(shallow, self.multiple)
        x = self.patch_embed.norm(shallow.permute(0, 2, 3, 1))
        for group in self.layers:
            deep = x
            for block in group.residual_group.blocks:
                deep = _transform(block, deep, mask)
            x = x + group.conv(deep.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        deep = self.conv_after_body(self.norm(x).permute(0, 3, 1, 2))
        return (deep + shallow)[:, :, :height, :width]


def _transform(block: Any, x: Float[Tensor, "b h w c"], mask: Float[Tensor, "n ss ss"]) -> Float[Tensor, "b h w c"]:
    """One of BasicSR's SwinTransformerBlocks."""
    size, shift = block.window_size, block.shift_size
    y = block.norm1(x)
    if shift:
        y = y.roll((-shift, -shift), (1, 2))
        y = _unwindow(block.attn(_window(y, size), mask), y.shape, size).roll((shift, shift), (1, 2))
    else:
        y = _unwindow(block.attn(_window(y, size)), y.shape, size)
    x = x + block.drop_path(y)
    return x + block.drop_path(block.mlp(block.norm2(x)))


def _window(x: Float[Tensor, "b h w c"], size: int) -> Float[Tensor, "bn ss c"]:
    """Cuts into windows, row by row, of size x size pixels each."""
    b, h, w, c = x.shape
    return x.reshape(b, h // size, size, w // size, size, c).transpose(2, 3).reshape(-1, size * size, c)


def _unwindow(windows: Float[Tensor, "bn ss c"], shape: Sequence[int], size: int) -> Float[Tensor, "b h w c"]:
    b, h, w, c = shape
    return windows.reshape(b, h // size, w // size, size, size, c).transpose(2, 3).reshape(b, h, w, c)


def _shift_mask(x: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "n ss ss"]:
    """Added to the scores of shifted windows: -inf between pixels of opposite edges, which only the shift, a roll, joined.

    SwinIR adds -100, which is the same in float32 as long as scores differ by less than some 80; nothing can leak here.
    """
    height, width = x.shape[2:]
    bottom = torch.arange(height, device=x.device) >= height - size // 2
    right = torch.arange(width, device=x.device) >= width - size // 2
    side = _window((2 * bottom[:, None] + right)[None, :, :, None], size)
    joined = side != side.transpose(1, 2)
    return torch.zeros(joined.shape, dtype=x.dtype, device=x.device).masked_fill(joined, -math.inf)


def _reach_px(depths: Sequence[int], window: int, conv_px: int) -> int:
    """How far a feature sees, at worst over its places in a window: back from it, the interval of pixels that it depends on.

    A convolution widens the interval by `conv_px`, a block to whole windows; aligned and shifted blocks alternate, so
    that every block but the first adds half a window.
    """
    reach = 0
    for pixel in range(window):
        low, high = pixel - conv_px, pixel + conv_px
        for depth in reversed(depths):
            low, high = low - conv_px, high + conv_px
            for i in reversed(range(depth)):
                shift = window // 2 if i % 2 else 0
                low = (low - shift) // window * window + shift
                high = (high - shift) // window * window + shift + window - 1
        reach = max(reach, pixel - low + 1, high + 1 - pixel)  # conv_first
    return reach
