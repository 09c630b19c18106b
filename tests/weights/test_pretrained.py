"""Encoders start from weights that others trained, under the names that those gave them."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from realciao.archs import build_network
from realciao.errors import UserError
from realciao.registry import ARCH_REGISTRY, build
from realciao.weights.pretrained import load_encoder

MEAN = (0.4488, 0.4371, 0.4040)
RRDBNET = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_block": 2, "num_grow_ch": 2}
SWINIR = {"embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4, "mlp_ratio": 2}


def make_net(encoder: dict[str, Any], **network: Any) -> Any:
    torch.manual_seed(0)
    decoder = {"type": "CiaoSRDecoder", "hidden": [4], "non_local_scales": []}
    return build_network({"type": "CiaoSR", "encoder": encoder, "decoder": decoder, **network}).eval()


def basicsr_network(spec: dict[str, Any]) -> Any:
    """One of BasicSR's, whose biases are not zero."""
    torch.manual_seed(1)
    network: nn.Module = build(ARCH_REGISTRY, spec).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network


def entering(module: nn.Module, network: nn.Module, lq: Tensor) -> Tensor:
    """What the module is given when the network sees the image."""
    seen: list[Tensor] = []
    with module.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone())), torch.no_grad():
        network(lq)
    return seen[0]


@torch.no_grad()
def features(net: Any, lq: Tensor) -> Tensor:
    return net.encoder((lq - net.mean) / net.std)


def test_real_esrgans_network_gives_its_features() -> None:
    theirs = basicsr_network(RRDBNET)
    net = make_net({"type": "TrunkEncoder", "network": RRDBNET}, rgb_mean=[0, 0, 0])
    load_encoder(net, theirs.state_dict())
    lq = torch.rand(1, 3, 9, 8)
    expected = entering(theirs.conv_up1, theirs, lq)[:, :, ::2, ::2]
    torch.testing.assert_close(features(net, lq), expected, rtol=0, atol=1e-6)


def test_esrgans_older_names_are_the_same_network() -> None:
    theirs = basicsr_network(RRDBNET).state_dict()
    older = {
        re.sub(r"^body\.(\d+)\.rdb", r"RRDB_trunk.\1.RDB", name).replace("conv_body.", "trunk_conv."): tensor
        for name, tensor in theirs.items()
    }
    assert {"trunk_conv.weight", "RRDB_trunk.1.RDB3.conv5.weight"} <= older.keys()
    nets = [make_net({"type": "TrunkEncoder", "network": RRDBNET}) for _ in range(2)]
    load_encoder(nets[0], theirs)
    load_encoder(nets[1], older)
    lq = torch.rand(1, 3, 6, 7)
    assert torch.equal(features(nets[0], lq), features(nets[1], lq))


@pytest.mark.parametrize("trunk", [True, False])
def test_basicsrs_edsr_gives_its_features_divided_by_its_range(trunk: bool) -> None:
    spec = {"type": "EDSR", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_block": 2}
    theirs = basicsr_network(spec)
    encoder = (
        {"type": "TrunkEncoder", "network": spec} if trunk else {"type": "EDSREncoder", "num_feat": 4, "num_block": 2}
    )
    net = make_net(encoder)
    load_encoder(net, theirs.state_dict(), img_range=255)
    lq = torch.rand(1, 3, 9, 8)
    expected = entering(theirs.upsample, theirs, lq)
    torch.testing.assert_close(255 * features(net, lq), expected, rtol=1e-5, atol=1e-3)


def test_basicsrs_rcan_gives_its_features() -> None:
    spec = {"type": "RCAN", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_group": 1, "num_block": 1}
    spec["squeeze_factor"] = 2
    theirs = basicsr_network(spec)
    net = make_net({"type": "TrunkEncoder", "network": spec})
    load_encoder(net, theirs.state_dict(), img_range=255)
    lq = torch.rand(1, 3, 9, 8)
    torch.testing.assert_close(features(net, lq), entering(theirs.upsample, theirs, lq), rtol=1e-5, atol=1e-3)


def test_msrresnet_gives_its_features() -> None:
    spec = {"type": "MSRResNet", "num_feat": 4, "num_block": 2}
    theirs = basicsr_network(spec)
    net = make_net({"type": "TrunkEncoder", "network": spec}, rgb_mean=[0, 0, 0])
    load_encoder(net, theirs.state_dict())
    lq = torch.rand(1, 3, 9, 8)
    torch.testing.assert_close(features(net, lq), entering(theirs.upconv1, theirs, lq), rtol=0, atol=1e-6)


@pytest.mark.parametrize("prefix", ["", "encoder.", "module."])  # BasicSR and SwinIR, LTE, a wrapped network
def test_swinir_gives_its_features_and_its_buffers_of_another_size_do_not_matter(prefix: str) -> None:
    theirs = basicsr_network({"type": "SwinIR", **SWINIR, "img_size": 24, "upsampler": "pixelshuffle", "upscale": 2})
    net = make_net({"type": "SwinIREncoder", **SWINIR})
    load_encoder(net, {prefix + name: tensor for name, tensor in theirs.state_dict().items()})
    lq = torch.rand(1, 3, 12, 8)
    expected = entering(theirs.conv_before_upsample, theirs, lq)
    torch.testing.assert_close(features(net, lq), expected, rtol=0, atol=2e-6)


LIIF_EDSR = {
    "conv_first": "head.0",
    "conv_after_body": "body.2",
    **{f"body.{i}.conv{j + 1}": f"body.{i}.body.{2 * j}" for i in range(2) for j in range(2)},
}
LIIF_RDN = {
    **{"sfe1": "SFENet1", "sfe2": "SFENet2", "gff.0": "GFF.0", "gff.1": "GFF.1"},
    **{f"rdbs.{i}.lff": f"RDBs.{i}.LFF" for i in range(2)},
    **{f"rdbs.{i}.layers.{j}.conv": f"RDBs.{i}.convs.{j}.conv.0" for i in range(2) for j in range(3)},
}


@pytest.mark.parametrize(
    ("encoder", "names"),
    [
        ({"type": "EDSREncoder", "num_feat": 4, "num_block": 2}, LIIF_EDSR),
        ({"type": "RDNEncoder", "num_feat": 4, "num_block": 2, "num_layer": 3, "growth": 2}, LIIF_RDN),
    ],
)
def test_liifs_names_are_mapped_and_its_other_parts_ignored(encoder: dict[str, Any], names: dict[str, str]) -> None:
    source, net = make_net(encoder), make_net(encoder)
    weights = {name: torch.randn_like(tensor) for name, tensor in source.encoder.state_dict().items()}
    source.encoder.load_state_dict(weights)
    theirs = {}
    for name, tensor in weights.items():
        module, _, kind = name.rpartition(".")
        theirs[f"encoder.{names[module]}.{kind}"] = tensor
    others = {"encoder.sub_mean.weight": torch.zeros(3, 3, 1, 1), "imnet.layers.0.weight": torch.zeros(4, 4)}
    load_encoder(net, {**theirs, **others})
    lq = torch.rand(1, 3, 6, 7)
    assert torch.equal(features(net, lq), features(source, lq))


def test_the_decoder_stays_as_it_was() -> None:
    net = make_net({"type": "TrunkEncoder", "network": RRDBNET})
    before = {name: tensor.clone() for name, tensor in net.decoder.state_dict().items()}
    load_encoder(net, basicsr_network(RRDBNET).state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.decoder.state_dict().items())


def test_a_trunk_cut_inside_a_list_takes_the_part_of_the_list() -> None:
    spec = {"type": "SRVGGNetCompact", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_conv": 2}
    theirs = basicsr_network(spec)
    net = make_net({"type": "TrunkEncoder", "network": spec, "last": "body.5"}, rgb_mean=[0, 0, 0])
    load_encoder(net, theirs.state_dict())
    lq = torch.rand(1, 3, 6, 7)
    torch.testing.assert_close(features(net, lq), entering(theirs.body[6], theirs, lq), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_block": 3}, r"they hold 'body\.2\.rdb1\.conv1\.bias'"),
        ({"num_block": 1}, r"they lack 'body\.1\.rdb1\.conv1\.bias'"),
        ({"num_feat": 6}, r"'conv_first\.weight' is \[6, 3, 3, 3\], the network needs \[4, 3, 3, 3\]"),
    ],
)
def test_weights_of_other_sizes_are_refused_by_name(change: dict[str, int], says: str) -> None:
    net = make_net({"type": "TrunkEncoder", "network": RRDBNET})
    with pytest.raises(UserError, match=says) as caught:
        load_encoder(net, basicsr_network({**RRDBNET, **change}).state_dict())
    assert "\n" not in str(caught.value)


def test_weights_of_another_kind_are_refused_by_name() -> None:
    net = make_net({"type": "RDNEncoder", "num_feat": 4, "num_block": 1, "num_layer": 1, "growth": 2})
    with pytest.raises(UserError, match=r"another encoder: 'sfe1\.weight' was looked for, 'conv_first\.weight' found"):
        load_encoder(net, basicsr_network(RRDBNET).state_dict())
