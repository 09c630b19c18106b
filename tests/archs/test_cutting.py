"""Networks in two parts against the networks in one, and their reach against the gradient's."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from realciao.archs import build_network
from realciao.archs.cutting import reach_px, split
from realciao.registry import ARCH_REGISTRY, build
from realciao.upscaling.upscaler import Upscaler

TINY = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4}
RRDB = {"type": "RRDBNet", **TINY, "num_feat": 16, "num_block": 1, "num_grow_ch": 8}
NETWORKS: dict[str, dict[str, Any]] = {
    "RRDBNet": RRDB,
    "RRDBNet x2": {**RRDB, "scale": 2},
    "SRVGGNetCompact": {"type": "SRVGGNetCompact", **TINY, "num_conv": 2, "upscale": 3},
    "MSRResNet": {"type": "MSRResNet", **TINY, "num_block": 1, "upscale": 4},
    "EDSR": {"type": "EDSR", **TINY, "num_block": 1, "upscale": 2},
    "RCAN": {"type": "RCAN", **TINY, "num_group": 1, "num_block": 1, "squeeze_factor": 2, "upscale": 2},
}
PLAIN = {"rgb_mean": [0.0, 0.0, 0.0]}
everywhere = pytest.mark.parametrize("name", NETWORKS)
at_both = pytest.mark.parametrize("at", ["trunk", "map"])


def shake(net: Any) -> Any:
    """Biases and slopes that are not those of a fresh network."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net.eval()


def make_encoder(network: dict[str, Any], at: str, weights: str | None = "any") -> Any:
    torch.manual_seed(0)
    spec = {"type": "TrunkEncoder", "network": network, "at": at, "weights": weights}
    return shake(build(ARCH_REGISTRY, spec, "encoder"))


def whole_of(network: dict[str, Any], encoder: Any) -> nn.Module:
    """The network itself, with the encoder's weights."""
    net: nn.Module = build(ARCH_REGISTRY, network).eval()
    theirs = {name: encoder.state_dict()[own] for own, name in encoder.foreign_names.items()}
    missing, unexpected = net.load_state_dict(theirs, strict=False)
    assert not unexpected
    assert set(missing) == encoder.cut_away
    return net


def entering(net: nn.Module, name: str, lq: Tensor) -> Tensor:
    """What the module is given last."""
    seen: list[Tensor] = []
    with net.get_submodule(name).register_forward_pre_hook(lambda _, args: seen.append(args[0].clone())):
        net(lq)
    return seen[-1]


@everywhere
@torch.no_grad()
def test_at_map_the_base_is_the_networks_result_and_the_map_what_its_last_convolution_receives(name: str) -> None:
    encoder = make_encoder(NETWORKS[name], "map")
    net = whole_of(NETWORKS[name], encoder)
    lq = torch.rand(2, 3, 12, 10)
    feat, base = encoder(lq)
    assert not encoder.cut_away
    assert base.shape[2:] == (12 * encoder.base_scale, 10 * encoder.base_scale)
    assert feat.shape == (2, encoder.out_dim, 12 * encoder.map_scale, 10 * encoder.map_scale)
    last = [key for key, module in net.named_modules() if isinstance(module, nn.Conv2d)][-1]
    torch.testing.assert_close(base, net(lq), rtol=0, atol=1e-6)
    torch.testing.assert_close(feat, entering(net, last, lq), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "receiver", "step"),
    [
        ("RRDBNet", "conv_up1", 2),  # enlarged on the way
        ("RRDBNet x2", "conv_up1", 1),
        ("SRVGGNetCompact", "body.6", 1),
        ("MSRResNet", "upconv1", 1),
        ("EDSR", "upsample.0", 1),
        ("RCAN", "upsample.0", 1),
    ],
)
@torch.no_grad()
def test_at_trunk_the_map_is_what_the_upsampler_receives(name: str, receiver: str, step: int) -> None:
    encoder = make_encoder(NETWORKS[name], "trunk")
    net = whole_of(NETWORKS[name], encoder)
    lq = torch.rand(1, 3, 12, 10)
    expected = entering(net, receiver, lq)[:, :, ::step, ::step]
    torch.testing.assert_close(encoder(lq), expected, rtol=0, atol=1e-6)
    assert encoder.out_dim == expected.shape[1]


@everywhere
@at_both
@torch.no_grad()
def test_keep_then_resume_is_forward(name: str, at: str) -> None:
    encoder = make_encoder(NETWORKS[name], at)
    assert encoder.keeps
    lq = torch.rand(2, 3, 9, 11)  # which networks that fold pixels must pad
    expected, kept = encoder(lq), encoder.keep(lq)
    again = encoder.resume(kept, lq)
    if at == "trunk":
        expected, again = (expected,), (again,)
    for one, other in zip(expected, again, strict=True):
        assert torch.equal(one, other)
        assert other.shape[2] % 9 == other.shape[3] % 11 == 0


@everywhere
@torch.no_grad()
def test_what_is_kept_is_the_same_at_trunk_and_at_map(name: str) -> None:
    """A teacher at its map keeps what a student at its trunk resumes."""
    trunk, whole = make_encoder(NETWORKS[name], "trunk"), make_encoder(NETWORKS[name], "map")
    theirs = {name: whole.state_dict()[own] for own, name in whole.foreign_names.items()}
    trunk.load_state_dict({own: theirs[name] for own, name in trunk.foreign_names.items()})
    lq = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(trunk.keep(lq), whole.keep(lq), rtol=0, atol=1e-6)


@everywhere
def test_both_parts_have_the_networks_parameters_each_once(name: str) -> None:
    torch.manual_seed(0)
    net: nn.Module = build(ARCH_REGISTRY, NETWORKS[name])
    own = {key: parameter.shape for key, parameter in net.state_dict().items()}
    encoder = make_encoder(NETWORKS[name], "map")
    named = [encoder.foreign_names[key] for key in encoder.state_dict()]
    assert sorted(named) == sorted(own)
    assert all(encoder.state_dict()[key].shape == own[encoder.foreign_names[key]] for key in encoder.state_dict())
    trunk = make_encoder(NETWORKS[name], "trunk")
    assert {trunk.foreign_names[key] for key in trunk.state_dict()} | trunk.cut_away == own.keys()


@everywhere
@at_both
def test_every_parameter_has_a_gradient_and_a_copy_equals_its_original(name: str, at: str) -> None:
    encoder = make_encoder(NETWORKS[name], at).train()
    lq = torch.rand(1, 3, 8, 8)
    made = encoder(lq)
    torch.cat([part.flatten() for part in (made if at == "map" else [made])]).square().sum().backward()
    assert not [key for key, parameter in encoder.named_parameters() if parameter.grad is None]
    encoder.eval()
    with torch.no_grad():
        expected, found = encoder(lq), copy.deepcopy(encoder)(lq)
    assert all(map(torch.equal, *((expected, found) if at == "map" else ([expected], [found]))))


class Means(nn.Module):
    """Holds plain tensors, as many authors' networks do, one of them inside a module."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.full((1, 3, 1, 1), 0.25)
        self.register_buffer("known", torch.full((1, 3, 1, 1), 0.5))
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, lq: Tensor) -> Tensor:
        self.mean = self.mean.type_as(lq)
        return self.shuffle(self.last(self.first((lq - self.mean) * self.known))) + self.mean


@torch.no_grad()
def test_plain_tensors_stay_out_of_the_state_and_go_along() -> None:
    net = Means().eval()
    parts = split(net, None, "last", "last")
    assert parts is not None
    trunk, tail = parts
    assert tail is not None
    assert isinstance(net.mean, Tensor)
    assert (trunk.state_dict().keys() | tail.state_dict().keys()) == net.state_dict().keys()
    lq = torch.rand(1, 3, 5, 6)
    torch.testing.assert_close(tail(trunk(lq), lq)[1], net(lq))
    expected = copy.deepcopy(net).double()(lq.double())
    again = [copy.deepcopy(part).double() for part in (trunk, tail)]
    torch.testing.assert_close(again[1](again[0](lq.double()), lq.double())[1], expected)
    assert (again[0].state_dict().keys() | again[1].state_dict().keys()) == net.state_dict().keys()


class ByValue(nn.Module):
    """Its way depends on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)

    def forward(self, lq: Tensor) -> Tensor:
        x = self.conv(lq)
        return nn.functional.pixel_shuffle(self.last(x if bool(lq.mean() > 0) else -x), 2)


class Across(nn.Module):
    """Its end reads more of its beginning than the map."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.body, self.last = (nn.Conv2d(n, m, 3, padding=1) for n, m in ((3, 4), (4, 4), (4, 12)))

    def forward(self, lq: Tensor) -> Tensor:
        x = self.first(lq)
        return nn.functional.pixel_shuffle(self.last(self.body(x) + x), 2)


def test_what_cannot_be_cut_is_left_whole() -> None:
    assert split(ByValue().eval(), None, "last", "last") is None
    assert split(Across().eval(), None, "body", "last") is not None  # at the body's input
    assert split(Across().eval(), "body", "last", "last") is not None  # the sum is the map
    assert split(Across().eval(), None, "lost", "last") is None


def seen(made: Tensor, lq: Tensor, pixel: int) -> int:
    """How far from the LR pixel, on the image's diagonal, the farthest one lies on which the colours depend."""
    (gradient,) = torch.autograd.grad(made.square().sum(), lq, retain_graph=True)
    return int((gradient.abs().sum(dim=(0, 1)).nonzero() - pixel).abs().max())


@pytest.mark.parametrize(
    ("name", "at"),
    [(name, at) for name in ("RRDBNet", "SRVGGNetCompact") for at in ("trunk", "map")] + [("MSRResNet", "trunk")],
)
def test_nothing_is_seen_beyond_the_reach(name: str, at: str) -> None:
    encoder = make_encoder(NETWORKS[name], at).double()
    reach = encoder.reach_px
    assert reach is not None
    pixel = reach + 4
    lq = torch.rand(1, 3, 2 * pixel + 1, 2 * pixel + 1, dtype=torch.float64, requires_grad=True)
    made = encoder(lq) if at == "map" else [encoder(lq)]
    for image in made:
        cells = image.shape[2] // lq.shape[2]
        far = seen(image[:, :, pixel * cells : (pixel + 1) * cells, pixel * cells : (pixel + 1) * cells], lq, pixel)
        # convolutions of larger maps count as if they were at the LR image's size
        assert far == reach if cells == 1 and name != "SRVGGNetCompact" and at == "trunk" else reach // 2 < far <= reach


def test_the_reach_of_parts_is_unknown_where_one_of_them_looks_at_everything() -> None:
    near = nn.Sequential(nn.Conv2d(3, 3, 5, padding=2), nn.Conv2d(3, 3, 3, padding=2, dilation=2))
    assert reach_px(near, None) == 4
    assert reach_px(near, near) == 8
    for far in (nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 3, stride=2), nn.Upsample(scale_factor=2, mode="bicubic")):
        assert reach_px(near, nn.Sequential(far)) is None
    assert reach_px(ByValue()) is None


@pytest.mark.parametrize("decoder", [{"type": "ZeroDecoder"}, {"type": "LIIFDecoder", "hidden": [8]}])
@pytest.mark.parametrize("scale", [0.7, 2.3, 4, (1.5, 5.1)])
def test_tiles_of_a_network_with_a_base_are_the_whole(decoder: dict[str, Any], scale: Any) -> None:
    torch.manual_seed(0)
    encoder = {"type": "TrunkEncoder", "network": RRDB, "at": "map", "weights": "any"}
    net: Any = shake(build_network({"type": "CiaoSR", "encoder": encoder, "decoder": decoder, **PLAIN}))
    net.encoder.tail.conv_last.bias.data.fill_(0.5)
    assert (net.map_scale, net.base_scale) == (4, 4)
    assert net.reach_px <= 64
    photo = np.random.default_rng(0).random((75, 68, 3), dtype=np.float32)
    whole, tiled = (Upscaler(net, "cpu", tile_px=tile_px).upscale(photo, scale) for tile_px in (0, 13))
    assert whole.std() > 0.02
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)
