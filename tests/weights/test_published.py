"""Released checkpoints: everything that the weights tell is read from them, and what does not fit is named in one line."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from realciao.archs import build_network
from realciao.errors import UserError
from realciao.weights.published import from_published

ENCODERS: dict[str, dict[str, Any]] = {
    "EDSR": {"type": "EDSREncoder", "num_feat": 6, "num_block": 3, "res_scale": 1.0},
    "RDN": {"type": "RDNEncoder", "num_feat": 4, "num_block": 2, "num_layer": 3, "growth": 2},
    "SwinIR": {
        "type": "SwinIREncoder",
        "embed_dim": 12,
        "depths": [1, 2],
        "num_heads": [2, 3],
        "window_size": 4,
        "mlp_ratio": 1.5,
        "drop_path": 0.1,
        "resi_connection": "1conv",
    },
    "SwinIR 3conv": {
        "type": "SwinIREncoder",
        "embed_dim": 8,
        "depths": [2],
        "num_heads": [1],
        "window_size": 8,
        "mlp_ratio": 2.0,
        "drop_path": 0.1,
        "resi_connection": "3conv",
    },
}


def make_net(encoder: str, scales: list[int] | None = None, hidden: tuple[int, ...] = (8, 6)) -> Any:
    torch.manual_seed(0)
    decoder = {"type": "CiaoSRDecoder", "hidden": hidden, "non_local_scales": [2] if scales is None else scales}
    return build_network({"type": "CiaoSR", "encoder": ENCODERS[encoder], "decoder": decoder}).eval()


def released(net: Any) -> dict[str, Tensor]:
    """The weights as a released checkpoint names them, with the buffers that a SwinIR brings."""
    weights = {f"generator.{name.partition('.')[2]}": tensor for name, tensor in net.state_dict().items()}
    if "generator.patch_embed.norm.weight" in weights:
        block = "generator.layers.0.residual_group.blocks.0."
        weights[f"{block}attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.int64)
        weights[f"{block}attn_mask"] = torch.zeros(36, 16, 16)
    return weights


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("scales", [[], [2], [3], [4], [2, 3], [3, 4], [2, 3, 4]])
def test_the_network_is_read_from_names_and_shapes(encoder: str, scales: list[int]) -> None:
    net = make_net(encoder, scales)
    again: Any = from_published(released(net))
    assert again.spec["encoder"] == ENCODERS[encoder]
    assert list(again.spec["decoder"]["non_local_scales"]) == scales
    assert list(again.spec["decoder"]["hidden"]) == [8, 6]
    lq = torch.rand(1, 3, 9, 8)
    assert torch.equal(again.upscale(lq, (20, 17)), net.upscale(lq, (20, 17)))
    assert not again.training


def without(part: str) -> Callable[[dict[str, Tensor]], None]:
    def remove(weights: dict[str, Tensor]) -> None:
        for name in [name for name in weights if part in name]:
            del weights[name]

    return remove


def replaced(name: str, *shape: int, of: float = 0) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.update({f"generator.{name}": torch.full(shape, of)})


@pytest.mark.parametrize(
    ("encoder", "change", "says"),
    [
        ("EDSR", without("imnet_q.layers.0."), "none of 'generator_ema.imnet_q.layers.0.weight'"),
        ("EDSR", without("body."), r"neither 'body.0.conv1.weight' \(EDSR\), 'rdbs.0.lff.weight' \(RDN\)"),
        ("EDSR", without("body.1.conv2.bias"), "they lack 'body.1.conv2.bias'"),
        ("EDSR", without("body.1."), "they lack 'body.1"),
        ("EDSR", without("conv_first.weight"), "it holds no 'conv_first.weight'"),
        ("EDSR", without("imnet_k.layers.0.weight"), "it holds no 'imnet_k.layers.0.weight'"),
        ("EDSR", without("cs_attn.down.weight"), "they lack 'cs_attn.down.weight'"),
        ("EDSR", replaced("conv_extra.weight", 3, 3), "they hold 'conv_extra.weight'"),
        ("EDSR", replaced("conv_first.weight", 6), r"'conv_first.weight' has the shape \[6\]"),
        ("EDSR", replaced("conv_first.weight", 7, 3, 3, 3), r"imnet_k and imnet_v read 54 and 60 features; 63 and"),
        ("EDSR", replaced("imnet_k.layers.0.weight", 8, 10), r"imnet_k and imnet_v read 6 and 60 features; 54 and"),
        (
            "EDSR",
            replaced("imnet_q.layers.2.weight", 6, 9),
            r"'imnet_q.layers.2.weight' is \[6, 9\], the network needs",
        ),
        ("EDSR", replaced("conv_first.bias", 6, of=torch.nan), "'conv_first.bias' holds values that are not finite"),
        ("RDN", without("rdbs.0.layers.0"), "it holds no 'rdbs.0.layers.0.conv.weight'"),
        ("RDN", without("gff.1."), "they lack 'gff.1.bias'"),
        ("SwinIR", without("blocks.0.attn.relative_position_bias"), "it holds no 'layers.0.*bias_table'"),
        ("SwinIR", without("layers.1.conv."), "they lack 'layers.1.conv.bias'"),
        (
            "SwinIR",
            replaced("layers.1.residual_group.blocks.0.attn.relative_position_bias_table", 49, 5),
            "multiple of",
        ),
    ],
)
def test_what_is_missing_or_of_another_size_is_named(
    encoder: str, change: Callable[[dict[str, Tensor]], None], says: str
) -> None:
    weights = released(make_net(encoder))
    change(weights)
    with pytest.raises(UserError, match=says) as caught:
        from_published(weights)
    assert str(caught.value).startswith("not a released CiaoSR checkpoint: ")
    assert "\n" not in str(caught.value)
