"""The trunk of any network that BasicSR's registry knows, cut before its upsampler."""

import operator
from typing import Any

import torch
import torch.fx
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.fx.proxy import TraceError

from realciao.registry import ARCH_REGISTRY, build, find

LAST = {
    "EDSR": "conv_after_body",
    "MSRResNet": "body",
    "RCAN": "conv_after_body",
    "RRDBNet": "conv_body",
}
"""The last module of the trunk, for the networks where it need not be named."""

SUMS = (operator.add, operator.iadd, torch.add)
POINTWISE_MODULES = (nn.Identity, nn.Dropout, nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid)
POINTWISE_FUNCTIONS = (*SUMS, operator.mul, operator.imul, torch.cat, F.relu, F.leaky_relu, F.gelu, F.silu)


@ARCH_REGISTRY.register()
class TrunkEncoder(nn.Module):
    """Runs a network from its first module to the one named `last`, with the skip connection that closes there.

    The cut is made in the graph of the network's own `forward`, recorded with its modules as black boxes. So it needs no
    knowledge of the network; what stands before the first module (means, ranges) falls away, as the network around the
    encoder sees to it; and what comes after the cut is gone with its parameters, of which distributed training bears none
    unused. Names of parameters are those of the network, under `trunk`.

    Args:
        network: spec of the network, e.g. {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3} as in Real-ESRGAN.
        last: name of the trunk's last module, e.g. "conv_body"; None for the networks in `LAST`. If its output is then
            added to something, that sum is the map.
    """

    multiple = 1

    def __init__(self, network: dict[str, Any], last: str | None = None) -> None:
        super().__init__()
        whole = build(ARCH_REGISTRY, network, "network")
        name = find(ARCH_REGISTRY, network["type"]).__name__
        self.trunk = _cut(whole, name, last or LAST.get(name))
        self.cut_away = frozenset(whole.state_dict().keys() - self.trunk.state_dict().keys())
        self.out_dim = _count_channels(self.trunk, name)
        self.reach_px = _reach_px(self.trunk)

    def forward(self, lq: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        return self.trunk(lq)


class _Outline(torch.fx.Tracer):
    """Records a forward pass without looking into its modules."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def _cut(network: nn.Module, name: str, last: str | None) -> torch.fx.GraphModule:
    first_conv = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    if first_conv is None or first_conv.in_channels != 3:
        found = f"takes {first_conv.in_channels} channels" if first_conv else "is missing"
        cure = "; give `scale: 4`, as others fold pixels into channels" if name == "RRDBNet" else ""
        raise ValueError(f"{name}'s first convolution {found}, where an RGB image has 3{cure}")
    try:
        graph = _Outline().trace(network)
    except (TraceError, TypeError) as error:
        raise ValueError(
            f"{name} cannot be cut: its forward pass depends on the values or the size of its input"
        ) from error
    calls = [node for node in graph.nodes if node.op == "call_module"]
    ends = [node for node in calls if node.target == last]
    if not ends:
        names = ", ".join(dict.fromkeys(str(node.target) for node in calls))
        raise ValueError(f"`last` must name the last module of {name}'s trunk, one of {names}; got {last}")
    end = ends[-1]
    followers = list(end.users)
    if len(followers) == 1 and followers[0].target in SUMS:
        end = followers[0]
    image, output = next(iter(graph.nodes)), next(iter(reversed(graph.nodes)))
    calls[0].args = (image,)
    output.args = (end,)
    trunk = torch.fx.GraphModule(network, graph)
    trunk.graph.eliminate_dead_code()
    return torch.fx.GraphModule(network, trunk.graph)  # with the modules that are still called, and no others


@torch.no_grad()
def _count_channels(trunk: nn.Module, name: str) -> int:
    """Channels of the map, of which an image of odd size shows whether it has the image's size."""
    size = (11, 13)
    try:
        shape = trunk.forward(torch.zeros(1, 3, *size)).shape  # called, a graph would print its errors at length
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"{name}'s trunk does not take images of any size: {str(error).splitlines()[0]}") from error
    if shape[2:] != size:
        raise ValueError(f"{name}'s trunk maps {size[0]}x{size[1]} to {shape[2]}x{shape[3]}: a map must keep the size")
    return shape[1]


def _reach_px(trunk: nn.Module) -> int | None:
    """How far the trunk sees: the longest way through its graph, in the reach of the convolutions on it; None where unknown."""
    reach: dict[torch.fx.Node, int] = {}
    try:
        graph = torch.fx.Tracer().trace(trunk)  # this one looks into blocks, down to torch's own modules
    except (TraceError, TypeError):
        return None
    for node in graph.nodes:
        reach[node] = max((reach[earlier] for earlier in node.all_input_nodes), default=0)
        if node.op == "call_module":
            module = trunk.get_submodule(str(node.target))
            if isinstance(module, nn.Conv2d) and module.stride == (1, 1):
                reach[node] += max(d * (k - 1) // 2 for d, k in zip(module.dilation, module.kernel_size, strict=True))
            elif not isinstance(module, POINTWISE_MODULES):
                return None
        elif node.op.startswith("call") and node.target not in POINTWISE_FUNCTIONS:
            return None
    return next(reversed(reach.values()))
