"""Networks from the checkpoints that CiaoSR's authors released."""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from realciao.archs import build_network
from realciao.errors import UserError
from realciao.weights.pretrained import BUFFERS
from realciao.weights.state import load_tensors

PREFIXES = ("generator_ema.", "generator.", "")
"""Where a released state dict keeps its generator, best first: the averaged weights are those that are tested."""

DECODER = ("imnet_q.", "imnet_k.", "imnet_v.", "cs_attn.")
"""The released networks keep encoder and decoder side by side; these modules are the decoder."""


def from_published(state_dict: Mapping[str, Tensor], res: bool = True, local_size: int = 2) -> nn.Module:
    """A network with the weights of a released CiaoSR checkpoint; encoder, widths and non-local scales follow from its keys.

    Args:
        state_dict: `generator_ema.*`, `generator.*` or bare keys; other entries (discriminator, counters) are ignored.
        res: the released real-world models add no bilinear residual: pass False for them.
        local_size: 2, or 1 for a model trained with the nearest cell alone; the weights do not tell.

    Raises:
        UserError: the keys or shapes are not those of a released CiaoSR.
    """
    weights = _generator(state_dict)
    encoder = {name: t for name, t in weights.items() if not name.startswith(DECODER)}
    decoder = {name: t for name, t in weights.items() if name.startswith(DECODER)}
    try:
        encoder_spec, feat_dim = _encoder_spec(encoder)
        spec = {**_decoder_spec(decoder, feat_dim), "local_size": local_size}
        network = build_network({"type": "CiaoSR", "encoder": encoder_spec, "decoder": spec, "res": res})
        load_tensors(network.get_submodule("encoder"), encoder)
        load_tensors(network.get_submodule("decoder"), decoder)
    except UserError as error:
        raise UserError(f"not a released CiaoSR checkpoint: {error}") from error
    return network.eval()


def is_published(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether a checkpoint is that of a released CiaoSR, to judge by a name."""
    return any(f"{prefix}imnet_q.layers.0.weight" in state_dict for prefix in PREFIXES)


def _generator(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES:
        if f"{prefix}imnet_q.layers.0.weight" in state_dict:
            names = [name for name in state_dict if name.startswith(prefix) and not name.endswith(BUFFERS)]
            return {name.removeprefix(prefix): state_dict[name] for name in names}
    known = ", ".join(f"'{prefix}imnet_q.layers.0.weight'" for prefix in PREFIXES)
    raise UserError(f"not a released CiaoSR checkpoint: none of {known} is among its {len(state_dict)} entries")


def _encoder_spec(weights: Mapping[str, Tensor]) -> tuple[dict[str, Any], int]:
    """The encoder's spec and the channels of its map."""
    if "body.0.conv1.weight" in weights:
        return _edsr_spec(weights), _shape(weights, "conv_first.weight")[0]
    if "rdbs.0.lff.weight" in weights:
        return _rdn_spec(weights), _shape(weights, "sfe1.weight")[0]
    if "layers.0.residual_group.blocks.0.mlp.fc1.weight" in weights:
        return _swinir_spec(weights), _shape(weights, "conv_first.weight")[0]
    raise UserError(
        "of an encoder it holds neither 'body.0.conv1.weight' (EDSR), 'rdbs.0.lff.weight' (RDN) "
        "nor 'layers.0.residual_group.blocks.0.mlp.fc1.weight' (SwinIR)"
    )


def _edsr_spec(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    num_feat = _shape(weights, "conv_first.weight")[0]
    return {"type": "EDSREncoder", "num_feat": num_feat, "num_block": _count(weights, r"body\.(\d+)\.")}


def _rdn_spec(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        "type": "RDNEncoder",
        "num_feat": _shape(weights, "sfe1.weight")[0],
        "num_block": _count(weights, r"rdbs\.(\d+)\."),
        "num_layer": _count(weights, r"rdbs\.0\.layers\.(\d+)\."),
        "growth": _shape(weights, "rdbs.0.layers.0.conv.weight")[0],
    }


def _swinir_spec(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    embed_dim = _shape(weights, "conv_first.weight")[0]
    groups = [f"layers.{i}.residual_group.blocks." for i in range(_count(weights, r"layers\.(\d+)\."))]
    # one bias for each head and each offset between two pixels of a window
    tables = [_shape(weights, f"{group}0.attn.relative_position_bias_table") for group in groups]
    return {
        "type": "SwinIREncoder",
        "embed_dim": embed_dim,
        "depths": [_count(weights, re.escape(group) + r"(\d+)\.") for group in groups],
        "num_heads": [table[1] for table in tables],
        "window_size": (math.isqrt(tables[0][0]) + 1) // 2,
        "mlp_ratio": _shape(weights, f"{groups[0]}0.mlp.fc1.weight")[0] / embed_dim,
        "resi_connection": "1conv" if "conv_after_body.weight" in weights else "3conv",
    }


def _decoder_spec(weights: Mapping[str, Tensor], feat_dim: int) -> dict[str, Any]:
    depth = _count(weights, r"imnet_q\.layers\.(\d+)\.bias")
    hidden = [_shape(weights, f"imnet_q.layers.{2 * i}.weight")[0] for i in range(depth - 1)]
    # relative coordinates and scale are 4 numbers; a neighbourhood is 9 x feat_dim; each non-local scale adds feat_dim
    key_dim, value_dim = (_shape(weights, f"imnet_{part}.layers.0.weight")[1] - 4 for part in "kv")
    count, rest = divmod(value_dim - 9 * feat_dim, feat_dim)
    # `down` is there whatever the scales are, so scale 2 is what downx3 and downx4 leave of the count
    scales = [scale for scale in (3, 4) if f"cs_attn.downx{scale}.weight" in weights]
    if key_dim != 9 * feat_dim or rest or not len(scales) <= count <= len(scales) + 1:
        raise UserError(
            f"imnet_k and imnet_v read {key_dim} and {value_dim} features; {9 * feat_dim} and, for each non-local scale, "
            f"{feat_dim} more go with the encoder's {feat_dim} channels"
        )
    scales = [2, *scales] if len(scales) < count else scales
    return {"type": "CiaoSRDecoder", "hidden": hidden, "non_local_scales": scales}


def _shape(weights: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    """The shape of an entry, which must be a matrix or a convolution's kernel."""
    if name not in weights:
        raise UserError(f"it holds no '{name}'")
    if weights[name].ndim < 2 or 0 in weights[name].shape:
        raise UserError(f"'{name}' has the shape {list(weights[name].shape)}")
    return tuple(weights[name].shape)


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    """How many numbers stand where the names have the pattern's group."""
    return len({match[1] for match in (re.match(pattern, name) for name in weights) if match})
