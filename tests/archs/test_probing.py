"""Where a network is cut, and what is seen there, against what is known of the networks."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realciao.archs.probing import Place, Receiver, probe
from realciao.errors import UserError
from realciao.registry import ARCH_REGISTRY, build

TINY = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4}
RRDB = {"type": "RRDBNet", **TINY, "num_block": 1, "num_grow_ch": 2}
PLACES: dict[str, tuple[dict[str, Any], int, int, Place, Place]] = {
    "RRDBNet": (RRDB, 4, 1, Place("conv_body", 4, 1), Place("conv_last", 4, 4)),
    # its body works at half the image's size
    "RRDBNet x2": ({**RRDB, "scale": 2}, 2, 2, Place("conv_up1", 4, 1), Place("conv_last", 4, 2)),
    "SRVGGNetCompact": (
        {"type": "SRVGGNetCompact", **TINY, "num_conv": 2, "upscale": 3},
        3,
        1,
        Place("body.6", 4, 1),
        Place("body.6", 4, 1),
    ),
    "MSRResNet": (
        {"type": "MSRResNet", **TINY, "num_block": 1, "upscale": 4},
        4,
        1,
        Place("upconv1", 4, 1),
        Place("conv_last", 4, 4),
    ),
    "EDSR": ({"type": "EDSR", **TINY, "num_block": 1, "upscale": 2}, 2, 1, Place("upsample.0", 4, 1), Place("conv_last", 4, 2)),
}  # fmt: skip


def make(spec: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return build(ARCH_REGISTRY, spec).eval()


@pytest.mark.parametrize("name", PLACES)
def test_the_places_are_those_that_the_networks_code_shows(name: str) -> None:
    spec, scale, multiple, trunk, last = PLACES[name]
    found = probe(make(spec), name)
    assert (found.scale, found.multiple, found.trunk, found.map) == (scale, multiple, trunk, last)


class Stand(nn.Module):
    """A convolution, and whatever is made of its result."""

    def __init__(self, end: Any, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 3, 3, padding=1)
        self.end = end

    def forward(self, lq: Tensor) -> Any:
        return self.end(self.conv(lq))


def refuse(image: Tensor) -> Tensor:
    raise RuntimeError("a reason\nwith more lines")


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (lambda x: x, "makes 3 channels of 17x16 of an RGB image of 17x16"),
        (lambda x: F.interpolate(x, scale_factor=8), "makes 3 channels of 136x128"),
        (lambda x: F.interpolate(x[:, :1], scale_factor=2), "makes 1 channels of 34x32"),
        (lambda x: x.mean(), "makes something else"),
        (lambda x: [x, x], "makes something else"),
        (refuse, "takes no RGB image of 17x16: a reason"),
    ],
)
def test_what_makes_no_larger_rgb_image_is_refused_in_one_line(end: Any, says: str) -> None:
    net = Stand(end)
    with pytest.raises(UserError, match="Stand") as caught:
        probe(net, "Stand")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not net.conv._forward_hooks


def test_grey_networks_and_those_without_convolutions_are_refused() -> None:
    with pytest.raises(UserError, match="takes no RGB image"):
        probe(Stand(lambda x: F.interpolate(x, scale_factor=2), channels=1), "grey")
    with pytest.raises(UserError, match="a teacher makes RGB"):
        probe(nn.Upsample(scale_factor=2), "plain")
    late = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3, padding=1))
    with pytest.raises(UserError, match="no convolution at the LR image's size"):
        probe(late, "late")


def test_least_size_and_multiple_are_kept_to() -> None:
    seen: list[tuple[int, ...]] = []

    def end(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape[2:]))
        return F.interpolate(x, scale_factor=2)

    assert probe(Stand(end), "Stand", minimum=30, multiple=8).size == (32, 40)
    assert seen == [(32, 40)]


@pytest.mark.parametrize("multiple", [1, 2, 4])
def test_the_least_multiple_that_is_taken_is_found(multiple: int) -> None:
    def end(x: Tensor) -> Tensor:
        if x.shape[2] % multiple or x.shape[3] % multiple:
            raise RuntimeError("cannot fold")
        return F.interpolate(x, scale_factor=2)

    assert probe(Stand(end), "Stand").multiple == multiple


@pytest.mark.parametrize("name", ["conv_up1", "conv_last"])
def test_a_receiver_gives_what_a_hook_sees_and_runs_no_further_than_it_must(name: str) -> None:
    net: Any = make(RRDB)
    seen: list[Tensor] = []
    net.get_submodule(name).register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    runs: list[int] = []
    net.conv_last.register_forward_hook(lambda *_: runs.append(1))
    lq = torch.rand(1, 3, 7, 9)
    expected = net(lq)
    runs.clear()
    feat = Receiver(net, name, whole=False)(lq)
    assert torch.equal(feat, seen[0])
    assert not runs
    feat, result = Receiver(net, name, whole=True)(lq)
    assert torch.equal(feat, seen[0])
    assert torch.equal(result, expected)
    assert len(net.get_submodule(name)._forward_pre_hooks) == 1  # the one above


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="`last`: RRDBNet has no module 'conv_lost'"):
        Receiver(make(RRDB), "conv_lost", whole=False)
