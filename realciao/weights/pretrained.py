"""An encoder's weights from networks that others trained, under the names that they gave them."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from realciao.errors import UserError
from realciao.weights.state import load_tensors

PREFIXES = ("", "encoder.", "generator_ema.", "generator.", "module.")
"""Where files keep the encoder: BasicSR and SwinIR; LIIF, LTE and ours; the released CiaoSR; a wrapped network."""

RRDB_RENAMED = (
    # ESRGAN's RRDBNet, which BSRGAN and RealSR kept, is older than BasicSR's
    (r"RRDB_trunk\.(\d+)\.RDB([123])\.", r"body.\1.rdb\2."),
    (r"trunk_conv\.", "conv_body."),
    (r"upconv([12])\.", r"conv_up\1."),
    (r"HRconv\.", "conv_hr."),
)
RENAMED = (
    # LIIF and LTE: their EDSR, in which one list holds the blocks and the convolution behind them, and their RDN
    (r"head\.0\.", "conv_first."),
    (r"body\.(\d+)\.body\.0\.", r"body.\1.conv1."),
    (r"body\.(\d+)\.body\.2\.", r"body.\1.conv2."),
    (r"body\.\d+\.(weight|bias)", r"conv_after_body.\1"),
    (r"SFENet([12])\.", r"sfe\1."),
    (r"RDBs\.(\d+)\.convs\.(\d+)\.conv\.0\.", r"rdbs.\1.layers.\2.conv."),
    (r"RDBs\.(\d+)\.LFF\.", r"rdbs.\1.lff."),
    (r"GFF\.([01])\.", r"gff.\1."),
    *RRDB_RENAMED,
)
BUFFERS = (".attn_mask", ".relative_position_index")
"""What SwinIR files hold beside weights; it follows from the sizes."""

HOMOGENEOUS = (nn.Conv2d, nn.ReLU, nn.LeakyReLU, nn.PReLU)


def load_encoder(net: nn.Module, state_dict: Mapping[str, Tensor], img_range: float = 1.0) -> None:
    """Gives a network's encoder the weights of a trained one; the decoder stays as it is.

    The encoder must be that of the file: EDSREncoder, RDNEncoder, SwinIREncoder with its widths, or a TrunkEncoder.
    Upsamplers, decoders and other parts of the file are ignored. What the encoder then computes is what it computed where
    it was trained only if the network treats its input alike:

    - SwinIR and the released CiaoSR subtract the mean that is the default of `rgb_mean`.
    - BasicSR's EDSR and RCAN subtract it too, and multiply by 255: give `img_range`.
    - RRDBNet (Real-ESRGAN, BSRGAN) and MSRResNet take RGB as it is: `rgb_mean: [0, 0, 0]`.
    - LIIF and LTE map to [-1, 1]: `rgb_mean: [0.5, 0.5, 0.5]` and `rgb_std: [0.5, 0.5, 0.5]`. With others, their weights
      are a start and no more.

    Args:
        net: as build_network makes it.
        state_dict: as `state.read_state_dict` reads it.
        img_range: by what the trained network multiplied its input. Where all activations are of the ReLU kind, the biases
            are divided by it, and the features are exactly `img_range` times smaller than they were; elsewhere (RCAN's
            sigmoids) the first convolution is multiplied, and they are as large as they were.

    Raises:
        UserError: the weights are of another encoder, or of other sizes.
    """
    encoder: Any = net.get_submodule("encoder")
    target: nn.Module = getattr(encoder, "trunk", encoder)
    weights = _find(target, state_dict, cut_away=getattr(encoder, "cut_away", frozenset()))
    if img_range != 1:
        weights = _rescale(target, weights, img_range)
    load_tensors(target, weights)


def _find(target: nn.Module, state_dict: Mapping[str, Tensor], cut_away: frozenset[str]) -> dict[str, Tensor]:
    """The entries that belong to the modules of `target`, under its names; one block more than it has is found too."""
    wanted = target.state_dict().keys()
    found = max(
        (_renamed(state_dict, prefix, wanted) for prefix in PREFIXES), key=lambda named: len(wanted & named.keys())
    )
    if not wanted & found.keys():
        example = next(iter(state_dict), "nothing")
        raise UserError(f"the weights are of another encoder: '{next(iter(wanted))}' was looked for, '{example}' found")
    modules = {name.partition(".")[0] for name in wanted}
    return {name: t for name, t in found.items() if name.partition(".")[0] in modules and name not in cut_away}


def _renamed(state_dict: Mapping[str, Tensor], prefix: str, wanted: Any) -> dict[str, Tensor]:
    result = {}
    for name, tensor in state_dict.items():
        if name.startswith(prefix) and not name.endswith(BUFFERS):
            name = name.removeprefix(prefix)
            result[name if name in wanted else _our_name(name)] = tensor
    return result


def basicsr_name(name: str) -> str:
    """An RRDBNet's entry under BasicSR's name; any other as it is."""
    for theirs, ours in RRDB_RENAMED:
        name = re.sub(rf"^{theirs}", ours, name)
    return name


def _our_name(name: str) -> str:
    for theirs, ours in RENAMED:
        if re.match(theirs, name):
            return re.sub(theirs, ours, name, count=1)
    return name


def _rescale(target: nn.Module, weights: dict[str, Tensor], img_range: float) -> dict[str, Tensor]:
    """The same network for an input `img_range` times smaller."""
    leaves = [module for module in target.modules() if not next(module.children(), None)]
    if all(isinstance(module, HOMOGENEOUS) for module in leaves):
        return {name: t / img_range if name.endswith(".bias") else t for name, t in weights.items()}
    first = next(iter(target.state_dict()))
    return {name: t * img_range if name == first else t for name, t in weights.items()}
