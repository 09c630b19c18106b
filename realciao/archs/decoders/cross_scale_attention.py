"""CiaoSR's non-local attention: every LR pixel looks for similar patches in the same image at smaller scales (Eq. 7)."""

from collections.abc import Sequence
from math import lcm

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from realciao.archs.decoders.patch_attention import attend
from realciao.archs.padding import pad_to_multiple
from realciao.coords import Frame
from realciao.errors import OptionError

SOFTMAX_SCALE = 10.0
MIN_NORM = 1e-4


class CrossScaleAttention(nn.Module):
    """Cross-scale patch attention; parameter names are those of the released checkpoints.

    For each scale s: queries are 3x3 patches of one embedding of the map, keys 3x3 patches of another embedding of the map
    shrunk by s, normalised to unit length, values the 3s x 3s patches of a third embedding at the keys' places. The weighted
    values are laid over each other on a map s times as large, which a strided convolution brings back.

    Computed without any of these patches, image by image (see `diagonal_sums.py`). With n query and l = n / s^2 key pixels, a
    pair takes 3.5 * channels multiplications (the patches take 4.5 + 9 s^2) and about 14 passes over scores in the cache. Peak
    memory on a CPU without gradients: 864 l numbers or 2 million a thread, whichever is more, and 12 arrays of the size of
    one image's features, and 10 MiB that BLAS works in; so it grows with l, not with n * l.

    Args:
        channels: channels of the feature map; even.
        scales: subset of {2, 3, 4}; each adds `channels` channels to the result.
        window: side in pixels of the windows that attend in themselves alone, each as if it were an image; a multiple of
            all scales. Then the time is proportional to the image's area. None: the whole image.
    """

    def __init__(self, channels: int, scales: Sequence[int], window: int | None = None) -> None:
        super().__init__()
        multiple = lcm(*scales)
        if window is not None and (window < 1 or window % multiple):
            problem = f"the window must be a positive multiple of {multiple} (of all non-local scales), got {window}"
            raise OptionError("nonlocal_window", problem)
        self.scales = tuple(scales)
        self.window = window
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

    def forward(self, feat: Float[Tensor, "b c h w"], frame: Frame | None = None) -> Float[Tensor, "b cm h w"]:
        """Non-local features, one block of channels a scale.

        Args:
            feat: features of the image, or of a tile of it.
            frame: (top, left, height, width) of the tile: its first pixel and the size of the full image. Windows lie on a
                grid that begins at the image's first pixel; those that the tile holds whole come out as in the full image.
                None: the tile is the image.
        """
        if self.window is None:
            return self._attend_globally(feat)
        if torch.compiler.is_exporting():  # one graph for any number of windows
            return torch.cat([self._windows_by_patches(feat, scale, self.window) for scale in self.scales], dim=1)
        top, left = frame[:2] if frame else (0, 0)
        rows = feat.split(_cuts(feat.shape[2], top, self.window), dim=2)
        columns = _cuts(feat.shape[3], left, self.window)
        bands = [torch.cat([self._attend_globally(part) for part in row.split(columns, dim=3)], dim=3) for row in rows]
        return torch.cat(bands, dim=2)

    def _attend_globally(self, feat: Float[Tensor, "b c h w"]) -> Float[Tensor, "b cm h w"]:
        at_scale = self._at_scale_by_patches if torch.compiler.is_exporting() else self._at_scale
        return torch.cat([at_scale(feat, scale) for scale in self.scales], dim=1)

    def _at_scale(self, feat: Float[Tensor, "b c h w"], scale: int) -> Float[Tensor, "b c h w"]:
        height, width = feat.shape[2:]
        feat = pad_to_multiple(feat, scale)
        query, key = self._embed(feat, scale)
        taps = self._taps(self.conv_assembly(feat), scale)
        # the logits are large, so scores and softmax are float32 at least, under autocast too
        exact = torch.promote_types(query.dtype, torch.float32)
        with torch.autocast(feat.device.type, enabled=False):
            query, key = query.permute(0, 2, 3, 1).to(exact), key.to(exact)
            energy = F.avg_pool2d(key.square().sum(dim=1, keepdim=True), 3, 1, 1, divisor_override=1)
            gain = SOFTMAX_SCALE * energy[:, 0].clamp(min=MIN_NORM**2).rsqrt()
            images = zip(query, key, gain, taps.to(exact), strict=True)
            result = torch.stack([attend(*image) for image in images]).permute(0, 3, 1, 2).to(taps.dtype)
        bias = self._down(scale).bias
        assert bias is not None
        return ((result + bias[:, None, None]) / 6)[:, :, :height, :width].contiguous()

    def _embed(
        self, feat: Float[Tensor, "b c h w"], scale: int
    ) -> tuple[Float[Tensor, "b d h w"], Float[Tensor, "b d hs ws"]]:
        """Query and key pixels."""
        size = feat.shape[2] // scale, feat.shape[3] // scale
        # not antialiased, as published: the mean of 2x2 for scale 2, the centre pixel for 3
        small = F.interpolate(feat, size, mode="bilinear", align_corners=False)
        return self.conv_match_1(feat), self.conv_match_2(small)

    def _taps(self, value: Float[Tensor, "b c h w"], scale: int) -> Float[Tensor, "b 2 2 c hs ws"]:
        """What a value pixel's s x s block adds to the result, at its place [1] and a pixel after it [0], on either axis.

        The strided convolution reads the map s times as large at s*p - 1, s*p and s*p + 1: the last pixel of the block before
        p's, and the first two of p's own.
        """
        weight = F.pad(self._down(scale).weight, (scale - 1, scale - 2, scale - 1, scale - 2))
        kernel = weight.unflatten(3, (2, scale)).unflatten(2, (2, scale)).permute(2, 4, 0, 1, 3, 5)
        return F.conv2d(value, kernel.flatten(0, 2), stride=scale).unflatten(1, kernel.shape[:3])

    def _down(self, scale: int) -> nn.Conv2d:
        down = getattr(self, self._down_name(scale))
        assert isinstance(down, nn.Conv2d)
        return down

    def _at_scale_by_patches(self, feat: Float[Tensor, "b c h w"], scale: int) -> Float[Tensor, "b c h w"]:
        """The same by explicit patches and one array of scores: a graph without loops, whose sizes may be unknown."""
        padded = pad_to_multiple(feat, scale)
        return _top_left(self._by_patches(padded, torch.ones_like(padded[:1, :1]), scale), feat.shape[2], feat.shape[3])

    def _windows_by_patches(self, feat: Float[Tensor, "b c h w"], scale: int, window: int) -> Float[Tensor, "b c h w"]:
        """All windows at once, as a batch; those at the right and the bottom are filled up with pixels that do not count."""
        b, c, height, width = feat.shape
        (rows, row_counts), (columns, column_counts) = (
            _window_pixels(n, window, scale, feat.device) for n in (height, width)
        )
        filled = feat.index_select(2, rows).index_select(3, columns)
        counts = (row_counts[:, None] & column_counts).to(feat.dtype).expand(b, 1, -1, -1)
        down, along = ((n + window - 1) // window for n in (height, width))
        windows, counting = (
            image.reshape(b, -1, down, window, along, window)
            .permute(0, 2, 4, 1, 3, 5)
            .reshape(b * down * along, -1, window, window)
            for image in (filled, counts)
        )
        result = self._by_patches(windows, counting, scale)
        result = result.reshape(b, down, along, c, window, window).permute(0, 3, 1, 4, 2, 5)
        return _top_left(result.reshape(b, c, down * window, along * window), height, width)

    def _by_patches(
        self, feat: Float[Tensor, "b c h w"], counts: Float[Tensor, "#b 1 h w"], scale: int
    ) -> Float[Tensor, "b c h w"]:
        """Of images whose sides are multiples of the scale, as if they ended where `counts` (1 or 0) says so."""
        query, key = self._embed(feat, scale)
        small = F.interpolate(counts, (key.shape[2], key.shape[3]))
        query, key = (F.unfold(image * mask, 3, padding=1) for image, mask in ((query, counts), (key, small)))
        value = F.unfold(self.conv_assembly(feat) * counts, 3 * scale, stride=scale, padding=scale)
        exact = torch.promote_types(query.dtype, torch.float32)
        with torch.autocast(feat.device.type, enabled=False):
            key = F.normalize(key.to(exact), dim=1, eps=MIN_NORM)
            scores = SOFTMAX_SCALE * key.transpose(1, 2) @ query.to(exact) + small.flatten(1)[..., None].to(exact).log()
            weights = scores.softmax(dim=1) * counts.flatten(1)[:, None].to(exact)
            patches = (value.to(exact) @ weights).to(value.dtype)
        large = F.fold(patches, (feat.shape[2] * scale, feat.shape[3] * scale), 3 * scale, stride=scale, padding=scale)
        return self._down(scale)(large * F.interpolate(counts, (large.shape[2], large.shape[3]))) / 6


def _top_left(image: Float[Tensor, "b c h w"], height: int, width: int) -> Float[Tensor, "b c height width"]:
    rows, columns = torch.arange(height, device=image.device), torch.arange(width, device=image.device)
    # not a slice: whether it cuts anything would be decided once for all sizes
    return image.index_select(2, rows).index_select(3, columns)


def _window_pixels(n: int, window: int, scale: int, device: torch.device) -> tuple[Int[Tensor, "m"], Bool[Tensor, "m"]]:
    """An axis of n pixels as whole windows: of which pixel each is a copy, and whether it counts.

    In its window every pixel does; in the last those that there are, and what makes them a multiple of the scale, by
    reflection as `pad_to_multiple` does it.
    """
    place = torch.arange((n + window - 1) // window * window, device=device)
    start = place // window * window
    there = (n - start).clamp(max=window)
    padded = (there + scale - 1) // scale * scale
    within = place - start
    reflected = there - 1 - (within - (there - 1)).abs()
    too_short = padded - there >= there
    source = start + torch.where(too_short, torch.minimum(within, there - 1), reflected).clamp(min=0)
    return source, within < padded


def _cuts(size: int, start: int, window: int) -> list[int]:
    """Lengths of the pieces of an axis that begins at `start` of a grid of windows."""
    first = min(size, window - start % window)
    rest = size - first
    return [first, *[window] * (rest // window), *([rest % window] if rest % window else [])]
