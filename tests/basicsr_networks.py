"""Networks of BasicSR's own code, the judges of ours by the same names."""

from typing import Any

from torch import nn

from realciao.registry import ARCH_REGISTRY, find


def build_basicsr(kind: str, **sizes: Any) -> nn.Module:
    """BasicSR's class of that name, not ours."""
    find(ARCH_REGISTRY, "MSRResNet")  # which imports all of BasicSR
    net = ARCH_REGISTRY.get(kind)(**sizes)
    assert type(net).__module__.startswith("basicsr.")
    return net
