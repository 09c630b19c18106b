"""Networks. Importing this package registers every encoder, decoder and network in its folders."""

from typing import Any

from torch import nn

from realciao.registry import ARCH_REGISTRY, build, import_all


def build_network(spec: dict[str, Any]) -> nn.Module:
    """The network that a spec describes, with fresh weights.

    Args:
        spec: {"type": "CiaoSR", "encoder": {"type": "EDSREncoder", ...}, "decoder": {"type": "CiaoSRDecoder", ...}}.

    Raises:
        OptionError: the spec names an unknown class or argument, or a value that it refuses.
    """
    return build(ARCH_REGISTRY, spec, "network_g")


import_all(__name__)
