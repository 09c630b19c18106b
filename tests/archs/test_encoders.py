"""Encoders against the networks that they were taken from, and against what they say of themselves."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

import realciao
from realciao.archs import build_network
from realciao.errors import OptionError
from realciao.registry import ARCH_REGISTRY, build
from realciao.upscaling.upscaler import Upscaler

TINY: dict[str, dict[str, Any]] = {
    "EDSR": {"type": "EDSREncoder", "num_feat": 4, "num_block": 2},
    "RDN": {"type": "RDNEncoder", "num_feat": 4, "num_block": 2, "num_layer": 3, "growth": 2},
    "SwinIR": {"type": "SwinIREncoder", "embed_dim": 4, "depths": [2, 1], "num_heads": [2, 1], "window_size": 4},
    "SwinIR 3conv": {
        "type": "SwinIREncoder",
        "embed_dim": 8,
        "depths": [2],
        "num_heads": [2],
        "window_size": 4,
        "resi_connection": "3conv",
    },
    "Small": {"type": "SmallEncoder", "num_feat": 4, "num_block": 2},
    "Small to narrow": {"type": "SmallEncoder", "num_feat": 4, "num_block": 1, "out_feat": 2},
    "RRDBNet": {
        "type": "TrunkEncoder",
        "network": {
            "type": "RRDBNet",
            "num_in_ch": 3,
            "num_out_ch": 3,
            "num_feat": 4,
            "num_block": 1,
            "num_grow_ch": 2,
        },
    },
    "MSRResNet": {"type": "TrunkEncoder", "network": {"type": "MSRResNet", "num_feat": 4, "num_block": 2}},
    "RCAN": {
        "type": "TrunkEncoder",
        "network": {
            "type": "RCAN",
            "num_in_ch": 3,
            "num_out_ch": 3,
            "num_feat": 4,
            "num_group": 1,
            "num_block": 2,
            "squeeze_factor": 2,
        },
    },
    "EDSR's trunk": {
        "type": "TrunkEncoder",
        "network": {"type": "EDSR", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_block": 2},
    },
    "SRVGGNetCompact": {
        "type": "TrunkEncoder",
        "network": {"type": "SRVGGNetCompact", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_conv": 2},
        "last": "body.5",
    },
}
everywhere = pytest.mark.parametrize("name", TINY)


def make(spec: dict[str, Any], dtype: torch.dtype = torch.float64) -> Any:
    torch.manual_seed(0)
    encoder: nn.Module = build(ARCH_REGISTRY, spec, "encoder")
    with torch.no_grad():  # a trained network's biases and scales are not zero and one
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return encoder.to(dtype).eval()


@pytest.mark.parametrize(
    ("kind", "count"), [("EDSREncoder", 1_220_416), ("RDNEncoder", 21_973_952), ("SwinIREncoder", 11_499_300)]
)
def test_by_default_an_encoder_has_as_many_parameters_as_the_published_one(kind: str, count: int) -> None:
    encoder = build(ARCH_REGISTRY, {"type": kind})
    assert sum(parameter.numel() for parameter in encoder.parameters()) == count


@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(TINY)), height=st.integers(1, 9), width=st.integers(1, 9), batch=st.integers(1, 2))
def test_an_image_of_any_size_gives_a_map_of_that_size(name: str, height: int, width: int, batch: int) -> None:
    encoder = make(TINY[name])
    feat = encoder(torch.rand(batch, 3, height, width, dtype=torch.float64))
    assert feat.shape == (batch, encoder.out_dim, height, width)
    assert feat.isfinite().all()


def seen(encoder: Any, size: int, pixel: int) -> int:
    """How far from the pixel, on the image's diagonal, the farthest one lies on which its features depend."""
    lq = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(encoder(lq)[:, :, pixel, pixel].square().sum(), lq)
    places = gradient.abs().sum(dim=(0, 1)).nonzero()
    return int((places - pixel).abs().max())


@everywhere
def test_the_reach_is_how_far_the_gradient_goes(name: str) -> None:
    encoder = make(TINY[name])
    if encoder.reach_px is None:
        assert seen(encoder, 61, 30) == 30  # to the edges
        return
    middle = (encoder.reach_px + 4) // 4 * 4
    pixels = range(middle, middle + encoder.multiple)  # places in a window see differently far
    assert max(seen(encoder, 2 * middle + 8, pixel) for pixel in pixels) == encoder.reach_px


@pytest.mark.parametrize("name", [name for name in TINY if name != "RCAN"])
@pytest.mark.parametrize("size", [(64, 61), (69, 72)])
def test_a_tile_cut_on_the_encoders_grid_has_the_features_of_the_whole_beyond_its_reach(
    name: str, size: tuple[int, int]
) -> None:
    encoder = make(TINY[name])
    reach, step = encoder.reach_px, encoder.multiple
    lq = torch.rand(1, 3, *size, dtype=torch.float64)
    whole = encoder(lq)
    top, left = 8, 12
    assert top % step == left % step == 0
    # one tile inside the image, one that ends where it ends, padding and all
    for bottom, right in ((top + 44, left + 40), size):
        tile = encoder(lq[:, :, top:bottom, left:right])
        inside = (
            slice(top + reach, bottom - (reach if bottom < size[0] else 0)),
            slice(left + reach, right - (reach if right < size[1] else 0)),
        )
        expected = whole[:, :, inside[0], inside[1]]
        found = tile[:, :, inside[0].start - top : inside[0].stop - top, inside[1].start - left : inside[1].stop - left]
        assert expected.shape == found.shape
        assert min(expected.shape[2:]) > 0
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["RDN", "SwinIR", "RRDBNet"])
def test_a_photo_in_tiles_is_the_photo_at_once(name: str) -> None:
    decoder = {"type": "CiaoSRDecoder", "hidden": [4], "non_local_scales": []}
    net: Any = build_network({"type": "CiaoSR", "encoder": TINY[name], "decoder": decoder})
    photo = np.random.default_rng(0).random((45, 42, 3), dtype=np.float32)
    whole, tiled = (Upscaler(net, "cpu", tile_px=tile_px).upscale(photo, 1.7) for tile_px in (0, 10))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)  # coordinates are float32


@everywhere
def test_every_parameter_has_a_gradient(name: str) -> None:
    encoder = make(TINY[name]).train()
    encoder(torch.rand(2, 3, 9, 10, dtype=torch.float64)).square().sum().backward()
    assert not [key for key, parameter in encoder.named_parameters() if parameter.grad is None]


@everywhere
def test_half_precision_stays_near_single(name: str) -> None:
    encoder = make(TINY[name], torch.float32)
    lq = torch.rand(1, 3, 17, 19)
    exact = encoder(lq)
    with torch.autocast("cpu", torch.bfloat16):
        automatic = encoder(lq)
    half = encoder.bfloat16()(lq.bfloat16())
    assert half.dtype == torch.bfloat16
    for feat in (automatic, half):
        assert (feat.float() - exact).abs().mean() < 0.02 * exact.abs().mean()


@everywhere
def test_a_batch_equals_its_images_and_a_copy_its_original(name: str) -> None:
    encoder = make(TINY[name])
    lq = torch.rand(3, 3, 9, 14, dtype=torch.float64)
    together = encoder(lq)
    torch.testing.assert_close(together, torch.cat([encoder(one[None]) for one in lq]), rtol=0, atol=1e-12)
    torch.testing.assert_close(copy.deepcopy(encoder)(lq), together, rtol=0, atol=0)


@everywhere
def test_a_network_is_rebuilt_from_its_file_alone(name: str, tmp_path: Path) -> None:
    decoder = {"type": "CiaoSRDecoder", "hidden": [4], "non_local_scales": []}
    net: Any = build_network({"type": "CiaoSR", "encoder": TINY[name], "decoder": decoder}).eval()
    realciao.save_weights(net, tmp_path / "net.safetensors")
    again: Any = realciao.load_weights(tmp_path / "net.safetensors")
    lq = torch.rand(1, 3, 7, 6)
    assert torch.equal(again.upscale(lq, (11, 13)), net.upscale(lq, (11, 13)))
    assert again.spec == net.spec | {"encoder": again.spec["encoder"]}
    assert build_network(again.spec).state_dict().keys() == net.state_dict().keys()


def test_rdn_is_the_papers_formula() -> None:
    encoder = make(TINY["RDN"])
    lq = torch.rand(1, 3, 8, 9, dtype=torch.float64)
    w = encoder.state_dict()

    def conv(x: Tensor, name: str) -> Tensor:
        weight = w[f"{name}.weight"]
        return nn.functional.conv2d(x, weight, w[f"{name}.bias"], padding=weight.shape[-1] // 2)

    shallow = conv(lq, "sfe1")
    x, fused = conv(shallow, "sfe2"), []
    for i in range(2):
        dense = [x]
        for j in range(3):
            dense.append(conv(torch.cat(dense, dim=1), f"rdbs.{i}.layers.{j}.conv").clamp(min=0))
        x = x + conv(torch.cat(dense, dim=1), f"rdbs.{i}.lff")
        fused.append(x)
    expected = conv(conv(torch.cat(fused, dim=1), "gff.0"), "gff.1") + shallow
    torch.testing.assert_close(encoder(lq), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(8, 8), (12, 20), (32, 16)])
@pytest.mark.parametrize("resi_connection", ["1conv", "3conv"])
def test_swinir_is_basicsrs(size: tuple[int, int], resi_connection: str) -> None:
    sizes = {"embed_dim": 8, "depths": (2, 3), "num_heads": (2, 4), "window_size": 4, "mlp_ratio": 2.0}
    encoder = make({"type": "SwinIREncoder", **sizes, "resi_connection": resi_connection}, torch.float32)
    judge: Any = ARCH_REGISTRY.get("SwinIR")(img_size=16, resi_connection=resi_connection, **sizes).eval()
    missing, unexpected = judge.load_state_dict(encoder.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("conv_last") or name.endswith(("attn_mask", "position_index")) for name in missing)
    lq = torch.rand(2, 3, *size)
    shallow = judge.conv_first(lq)
    expected = judge.conv_after_body(judge.forward_features(shallow)) + shallow
    torch.testing.assert_close(encoder(lq), expected, rtol=0, atol=2e-6)


def test_swinir_leaves_out_branches_in_training_alone() -> None:
    encoder = make({**TINY["SwinIR"], "drop_path": 0.5})
    lq = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    assert torch.equal(encoder(lq), encoder(lq))
    encoder.train()
    torch.manual_seed(1)
    first = encoder(lq)
    assert not torch.equal(first, encoder(lq))
    torch.manual_seed(1)
    assert torch.equal(encoder(lq), first)


def in_its_network(spec: dict[str, Any], encoder: Any, caught: Callable[[nn.Module, list[Tensor]], None]) -> Tensor:
    """What enters the upsampler of the whole network, with the encoder's weights, for an image it normalises itself."""
    network: nn.Module = build(ARCH_REGISTRY, spec).double()
    network.load_state_dict({**network.state_dict(), **encoder.trunk.state_dict()})
    found: list[Tensor] = []
    caught(network, found)
    network(torch.rand(1, 3, 9, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(5)))
    return found[-1]


@pytest.mark.parametrize(
    ("name", "first_after"),
    [("RRDBNet", "conv_up1"), ("MSRResNet", "upconv1"), ("RCAN", "upsample"), ("EDSR's trunk", "upsample")],
)
def test_a_trunk_gives_what_enters_the_upsampler_of_its_network(name: str, first_after: str) -> None:
    encoder = make(TINY[name])

    def catch(network: nn.Module, found: list[Tensor]) -> None:
        network.get_submodule(first_after).register_forward_pre_hook(lambda _, args: found.append(args[0].clone()))

    expected = in_its_network(TINY[name]["network"], encoder, catch)
    if name == "RRDBNet":  # it is enlarged on the way
        expected = expected[:, :, ::2, ::2]
    lq = torch.rand(1, 3, 9, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    if name in ("RCAN", "EDSR's trunk"):  # these normalise by themselves
        lq = (lq - torch.tensor((0.4488, 0.4371, 0.4040)).view(1, 3, 1, 1)) * 255
    torch.testing.assert_close(encoder(lq), expected, rtol=1e-12, atol=1e-12)


def test_a_trunk_may_end_at_any_module() -> None:
    encoder = make(TINY["SRVGGNetCompact"])
    whole: Any = build(ARCH_REGISTRY, TINY["SRVGGNetCompact"]["network"]).double()
    whole.load_state_dict({**whole.state_dict(), **encoder.trunk.state_dict()})
    lq = torch.rand(1, 3, 9, 10, dtype=torch.float64)
    torch.testing.assert_close(encoder(lq), nn.Sequential(*whole.body[:6])(lq), rtol=0, atol=1e-12)


def test_the_spec_of_a_trunk_names_the_defaults_of_its_network() -> None:
    decoder = {"type": "CiaoSRDecoder", "hidden": [4], "non_local_scales": []}
    net: Any = build_network({"type": "CiaoSR", "encoder": TINY["RRDBNet"], "decoder": decoder})
    assert net.spec["encoder"]["network"]["scale"] == 4


@pytest.mark.parametrize(
    ("spec", "path", "says"),
    [
        ({**TINY["SwinIR"], "num_heads": [2]}, "", "must name the same groups"),
        ({**TINY["SwinIR"], "num_heads": [3, 1]}, "", "multiple of every entry of num_heads"),
        ({**TINY["SwinIR"], "window_size": 5}, "", "must be even"),
        ({**TINY["SwinIR"], "resi_connection": "2conv"}, "resi_connection", "2conv"),
        ({**TINY["RDN"], "num_block": 0}, "num_block", "expected int >= 1"),
        ({"type": "TrunkEncoder", "network": {"type": "RRDBNe"}}, "network.type", "did you mean 'RRDBNet'"),
        ({"type": "TrunkEncoder", "network": {"type": "RRDBNet", "num_in_ch": 3}}, "network.num_out_ch", "is missing"),
        (
            {"type": "TrunkEncoder", "network": {**TINY["RRDBNet"]["network"], "scale": 2}},
            "",
            "takes 12 channels, where an RGB image has 3; give `scale: 4`",
        ),
        ({**TINY["SRVGGNetCompact"], "last": None}, "", "`last` must name the last module"),
        ({**TINY["SRVGGNetCompact"], "last": "upsampler"}, "", "a map must keep the size"),
        (
            {"type": "TrunkEncoder", "network": {"type": "UNetDiscriminatorSN", "num_in_ch": 3}, "last": "conv9"},
            "",
            "does not take images of any size",
        ),
        (
            {"type": "TrunkEncoder", "network": {"type": "VGGStyleDiscriminator", "num_in_ch": 3, "num_feat": 1}},
            "",
            "depends on the values or the size of its input",
        ),
    ],
)
def test_a_wrong_spec_is_refused_in_one_line(
    spec: dict[str, Any], path: str, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OptionError) as caught:
        build(ARCH_REGISTRY, spec, "encoder")
    assert caught.value.path == ".".join(part for part in ("encoder", path) if part)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
