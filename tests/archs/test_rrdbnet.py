"""Real-ESRGAN's networks against BasicSR's."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from basicsr_networks import build_basicsr

from realciao.archs.compact import SRVGGNetCompact
from realciao.archs.rrdbnet import RRDBNet
from realciao.registry import ARCH_REGISTRY, find


def test_ours_are_found_first() -> None:
    assert find(ARCH_REGISTRY, "RRDBNet") is RRDBNet
    assert find(ARCH_REGISTRY, "SRVGGNetCompact") is SRVGGNetCompact


def test_basicsrs_networks_are_not_imported_for_them() -> None:
    code = (
        "import sys; from realciao.registry import ARCH_REGISTRY, find; import realciao.archs; "
        "find(ARCH_REGISTRY, 'RRDBNet'), find(ARCH_REGISTRY, 'SRVGGNetCompact'); "
        "sys.exit('basicsr.archs' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_rrdbnet_is_basicsrs(scale: int) -> None:
    sizes = {"num_in_ch": 3, "num_out_ch": 3, "scale": scale, "num_feat": 8, "num_block": 2, "num_grow_ch": 4}
    net, other = RRDBNet(**sizes), build_basicsr("RRDBNet", **sizes)
    net.load_state_dict(other.state_dict(), strict=True)
    image = torch.rand(2, 3, 12, 16)
    torch.testing.assert_close(net(image), other(image), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("act_type", ["relu", "prelu", "leakyrelu"])
def test_the_compact_network_is_basicsrs(act_type: Any) -> None:
    sizes = {"num_feat": 8, "num_conv": 3, "upscale": 3, "act_type": act_type}
    net, other = SRVGGNetCompact(**sizes), build_basicsr("SRVGGNetCompact", **sizes)
    net.load_state_dict(other.state_dict(), strict=True)
    image = torch.rand(2, 3, 9, 11)
    torch.testing.assert_close(net(image), other(image), atol=1e-6, rtol=1e-5)
