"""Networks from the checkpoints that CiaoSR's authors released."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from realciao.archs import build_network
from realciao.errors import UserError

PREFIXES = ("generator_ema.", "generator.", "")
"""Where a released state dict keeps its generator, best first: the averaged weights are those that are tested."""


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
    try:
        encoder = _edsr_spec(weights)
        decoder = _decoder_spec(weights)
    except KeyError as error:
        raise UserError(f"not a released CiaoSR checkpoint with an EDSR encoder: it holds no {error}") from error
    spec = {"type": "CiaoSR", "encoder": encoder, "decoder": {**decoder, "local_size": local_size}, "res": res}
    network = build_network(spec)
    network.load_state_dict({_our_name(name): tensor for name, tensor in weights.items()})
    return network.eval()


def _generator(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES:
        if f"{prefix}imnet_q.layers.0.weight" in state_dict:
            return {name.removeprefix(prefix): t for name, t in state_dict.items() if name.startswith(prefix)}
    known = ", ".join(f"'{prefix}imnet_q.layers.0.weight'" for prefix in PREFIXES)
    raise UserError(f"not a released CiaoSR checkpoint: none of {known} is among its {len(state_dict)} entries")


def _our_name(name: str) -> str:
    """The released networks keep encoder and decoder side by side, ours in two modules."""
    return f"decoder.{name}" if name.startswith(("imnet_", "cs_attn.")) else f"encoder.{name}"


def _edsr_spec(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    num_feat = weights["conv_first.weight"].shape[0]
    num_block = len({name.split(".")[1] for name in weights if re.match(r"body\.\d+\.conv1\.weight", name)})
    if num_block == 0:
        raise KeyError("body.0.conv1.weight")
    return {"type": "EDSREncoder", "num_feat": num_feat, "num_block": num_block}


def _decoder_spec(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    depth = len([name for name in weights if re.match(r"imnet_q\.layers\.\d+\.bias", name)])
    hidden = [weights[f"imnet_q.layers.{2 * i}.weight"].shape[0] for i in range(depth - 1)]
    feat_dim = weights["imnet_k.layers.0.weight"].shape[1] // 9
    count = (weights["imnet_v.layers.0.weight"].shape[1] - 4) // feat_dim - 9
    # `down` is there whatever the scales are, so scale 2 is what downx3 and downx4 leave of the count
    scales = [scale for scale in (3, 4) if f"cs_attn.downx{scale}.weight" in weights]
    if len(scales) < count:
        scales = [2, *scales]
    return {"type": "CiaoSRDecoder", "hidden": hidden, "non_local_scales": scales}
