"""The trunk of any network for one scale, or all of it up to the map before its last convolution."""

from typing import Any, Literal, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from realciao.archs.cutting import cut_trunk, reach_px, split
from realciao.archs.padding import pad_to_multiple
from realciao.archs.probing import Probe, Receiver, probe
from realciao.errors import OptionError
from realciao.registry import ARCH_REGISTRY, build, find

LAST = {
    "EDSR": "conv_after_body",
    "MSRResNet": "body",
    "RCAN": "conv_after_body",
    "RRDBNet": "conv_body",
}
"""The last module of the trunk, for the networks where it need not be named."""


class Encoded(NamedTuple):
    """What an encoder returns that also makes an image."""

    feat: Float[Tensor, "b c mh mw"]
    """`map_scale` cells per LR pixel, along an axis."""
    base: Float[Tensor, "b 3 bh bw"]
    """`base_scale` pixels per LR pixel, along an axis."""


@ARCH_REGISTRY.register()
class TrunkEncoder(nn.Module):
    """Part of a network that enlarges by one number, as the encoder of one for every scale.

    With `at: trunk` it ends before the upsampler, where the network still works at the size of the LR image. With `at: map` it
    returns the map that the network's last convolution receives, and the network's own result. The residual is read from that
    result; so with a decoder that gives 0, the whole is the network itself, resampled.

    The network is cut in the graph of its own `forward`, recorded with its modules as black boxes. So nothing need be known of
    it, and parts that are not run are removed with their parameters. Where no graph can be recorded (attention over windows),
    the network stays whole, and the map is caught at the input of the module that receives it.

    Args:
        network: spec of the network, e.g. {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3} as in Real-ESRGAN.
        last: name of the trunk's last module, e.g. "conv_body"; if its output is then added to something, that sum is the map.
            Where no graph can be recorded, it names the module that receives the map. It may be None for the networks in
            `LAST`, and where `weights` are given: then the map is what the last convolution at the LR image's size receives.
        at: where the network is cut.
        weights: a teacher's name or path: the network is this teacher, with its weights. `realciao.build_network` looks it up
            and gives `network`. A teacher takes RGB as it is (`rgb_mean: [0, 0, 0]`). Without `weights`, all that the
            network does before its first module (means, ranges) is removed: the network around the encoder normalises.

    Attributes:
        map_scale: cells of the map per LR pixel, along an axis.
        base_scale: pixels of the network's own result per LR pixel, with `at: map`; else None.
        keeps: whether `keep` and `resume` can be asked for.
        foreign_names: the network's names of the encoder's parameters, by their names here.
        cut_away: the network's names of the parameters that the encoder does not have.
    """

    def __init__(
        self,
        network: dict[str, Any] | None = None,
        last: str | None = None,
        at: Literal["trunk", "map"] = "trunk",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if network is None:
            raise OptionError("network", "is missing; `weights` alone are looked up by realciao.build_network")
        whole = build(ARCH_REGISTRY, network, "network").eval()
        name = find(ARCH_REGISTRY, network["type"]).__name__
        self.map_scale, self.base_scale = 1, cast(int | None, None)
        self.minimum, self.multiple = getattr(whole, "size_minimum", 1), getattr(whole, "size_multiple", 1)
        self.trunk: nn.Module
        self.tail: nn.Module | None = None
        names = set(whole.state_dict())
        if at == "trunk" and weights is None:
            self.trunk = cut_trunk(whole, name, last or LAST.get(name))
            self.out_dim = _count_channels(self.trunk, name)
        else:
            self._cut(whole, name, last, at)
        self.reach_px = reach_px(self.trunk, self.tail)
        self.foreign_names = {key: _foreign(key) for key in self.state_dict()}
        self.cut_away = frozenset(names - set(self.foreign_names.values()))
        self.keeps = at == "trunk" or self.tail is not None

    def _cut(self, whole: nn.Module, name: str, last: str | None, at: str) -> None:
        found = probe(whole, name, self.minimum, self.multiple)
        self.multiple = found.multiple
        if self.multiple == 1:  # where pixels are folded into channels, that map is smaller than the image
            last = last or LAST.get(name)
        end = found.map if at == "map" else found.trunk
        self.out_dim, self.map_scale = end.channels, end.scale
        if at == "map":
            self.base_scale = found.scale
        parts = split(whole, last, found.trunk.name, found.map.name if at == "map" else None)
        if parts:
            self.trunk, self.tail = parts
        else:
            self.trunk = Receiver(whole, last or end.name if at == "trunk" else end.name, whole=at == "map")
        if at == "trunk":
            shape = _run(self.trunk, found).shape
            if round(shape[2] / found.size[0]) != 1:  # networks may have padded it
                raise ValueError(
                    f"`last`: {name} maps {found.size} to {tuple(shape[2:])} there: a map must keep the size"
                )
            self.out_dim = shape[1]

    def forward(self, lq: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"] | Encoded:
        """The map; with `at: map` also the network's own result."""
        if self.tail is not None:
            return self.resume(self.keep(lq), lq)
        return self._cropped(self.trunk(self._padded(lq)), lq)

    def keep(self, lq: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k kh kw"]:
        """The costly part. While the trunk does not change, its result can be stored and used again."""
        return self.trunk(self._padded(lq))

    def resume(self, kept: Float[Tensor, "b k kh kw"], lq: Float[Tensor, "b 3 h w"]) -> Any:
        """What `forward` gives, from what `keep` gave for the same image."""
        kept = kept.to(lq.dtype)
        return self._cropped(kept if self.tail is None else Encoded(*self.tail(kept, self._padded(lq))), lq)

    def _padded(self, lq: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 H W"]:
        if self.minimum > 1 and min(lq.shape[2:]) < self.minimum:
            lq = pad_to_multiple(lq, self.minimum)
        return pad_to_multiple(lq, self.multiple)

    def _cropped(self, made: Any, lq: Float[Tensor, "b 3 h w"]) -> Any:
        """Without the padding, that which the network itself has added included."""
        h, w = lq.shape[2:]
        if isinstance(made, tuple):
            assert self.base_scale is not None
            feat, base = made
            return Encoded(_corner(feat, h, w, self.map_scale), _corner(base, h, w, self.base_scale))
        return _corner(made, h, w, self.map_scale)


def _corner(image: Float[Tensor, "b c H W"], h: int, w: int, scale: int) -> Float[Tensor, "b c h w"]:
    return image[:, :, : h * scale, : w * scale]


def _foreign(key: str) -> str:
    """The network's own name: parts of a graph are called trunk.NAME and tail.NAME, a whole network trunk.net.NAME."""
    name = key.partition(".")[2]
    return name.removeprefix("net.") if key.startswith("trunk.net.") else name


@torch.no_grad()
def _run(trunk: nn.Module, found: Probe) -> Tensor:
    return trunk(torch.zeros(1, 3, *found.size))


@torch.no_grad()
def _count_channels(trunk: nn.Module, name: str) -> int:
    """Channels of the map. ValueError where it has not the image's size, tried with one of odd sides."""
    size = (11, 13)
    try:
        shape = trunk.forward(torch.zeros(1, 3, *size)).shape  # called, a graph would print its errors at length
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"{name}'s trunk does not take images of any size: {str(error).splitlines()[0]}") from error
    if shape[2:] != size:
        raise ValueError(f"{name}'s trunk maps {size[0]}x{size[1]} to {shape[2]}x{shape[3]}: a map must keep the size")
    return shape[1]
