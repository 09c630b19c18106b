"""Networks cut in the graph of their own forward pass."""

import operator

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx.proxy import TraceError

SUMS = (operator.add, operator.iadd, torch.add)
POINTWISE_MODULES = (
    *(nn.Identity, nn.Dropout, nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Mish),
    *(nn.PixelShuffle, nn.PixelUnshuffle, nn.UpsamplingNearest2d),
)
POINTWISE_FUNCTIONS = (
    *(*SUMS, operator.mul, operator.imul, operator.sub, operator.truediv, torch.cat, torch.sigmoid),
    *(F.relu, F.leaky_relu, F.gelu, F.silu, F.pixel_shuffle),
)


class _Outline(torch.fx.Tracer):
    """Records a forward pass with modules as black boxes, but looks into those that hold one of `wanted`."""

    def __init__(self, wanted: tuple[str | None, ...] = ()) -> None:
        super().__init__()
        self.wanted = [name for name in wanted if name]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(name.startswith(f"{module_qualified_name}.") for name in self.wanted)


def cut_trunk(network: nn.Module, name: str, last: str | None) -> torch.fx.GraphModule:
    """The network from its first module to the one named `last`, with the skip connection that closes there.

    Raises:
        ValueError: it cannot be cut, or has no such module.
    """
    first_conv = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    if first_conv is None or first_conv.in_channels != 3:
        found = f"takes {first_conv.in_channels} channels" if first_conv else "is missing"
        cure = "; give `scale: 4`, as others fold pixels into channels" if name == "RRDBNet" else ""
        raise ValueError(f"{name}'s first convolution {found}, where an RGB image has 3{cure}")
    try:
        graph = _Outline((last,)).trace(network)
    except (TraceError, TypeError) as error:
        raise ValueError(
            f"{name} cannot be cut: its forward pass depends on the values or the size of its input"
        ) from error
    calls = [node for node in graph.nodes if node.op == "call_module"]
    end = _end_of(graph, last)
    if end is None:
        names = ", ".join(dict.fromkeys(str(node.target) for node in calls))
        raise ValueError(f"`last` must name the last module of {name}'s trunk, one of {names}; got {last}")
    image, output = next(iter(graph.nodes)), next(iter(reversed(graph.nodes)))
    calls[0].args = (image,)
    output.args = (end,)
    trunk = torch.fx.GraphModule(network, graph)
    trunk.graph.eliminate_dead_code()
    return torch.fx.GraphModule(network, trunk.graph)  # with the modules that are still called, and no others


def split(
    network: nn.Module, last: str | None, trunk_conv: str, map_conv: str | None
) -> tuple[torch.fx.GraphModule, torch.fx.GraphModule | None] | None:
    """A network in two: from the image to the trunk's map, and from that (and the image) to the last map and the result.

    Args:
        network: in eval mode; what stands before its first module stays.
        last: the trunk's last module; None for what `trunk_conv` receives.
        trunk_conv: a convolution that receives the trunk's map.
        map_conv: the convolution that receives the last map; None for the first part alone.

    Returns:
        None where no graph can be recorded, or where the second part would read more of the first than its map.
    """
    graph = _record(_Outline((last, trunk_conv, map_conv)), network)
    if graph is None:
        return None
    end = _end_of(graph, last) if last else _received(graph, trunk_conv)
    if end is None:
        return None
    image = next(iter(graph.nodes))
    trunk = torch.fx.Graph()
    trunk.output(_copy(trunk, end, {image: trunk.placeholder("lq")}))
    if map_conv is None:
        return _part(network, trunk), None
    last_map, output = _received(graph, map_conv), next(iter(reversed(graph.nodes)))
    tail = torch.fx.Graph()
    known = {end: tail.placeholder("kept"), image: tail.placeholder("lq")}
    if last_map is None or not isinstance(output.args[0], torch.fx.Node):
        return None
    made = tuple(_copy(tail, node, known) for node in (last_map, output.args[0]))
    called = [{str(n.target) for n in part.nodes if n.op == "call_module"} for part in (trunk, tail)]
    if any(network.get_submodule(name).state_dict() for name in called[0] & called[1]):
        return None  # the second part would run the first's convolutions; activations may be shared
    tail.output(made)
    return _part(network, trunk), _part(network, tail)


def reach_px(*parts: nn.Module | None) -> int | None:
    """How far parts that follow each other see: the longest way through each graph, in the reach of the convolutions on it.

    Convolutions of larger maps count as if they were at the LR image's size. None where it is unknown.
    """
    reaches = [_reach_px(part) for part in parts if part is not None]
    return None if None in reaches else sum(reach for reach in reaches if reach is not None)


def _record(tracer: torch.fx.Tracer, network: nn.Module) -> torch.fx.Graph | None:
    """The graph of a network's forward pass; None where there is none, because it depends on values or sizes."""
    plain = [(m, {key: v for key, v in vars(m).items() if isinstance(v, Tensor)}) for m in network.modules()]
    try:
        return tracer.trace(network)
    except Exception:  # the network's code runs on stand-ins for tensors, and may fail in any way
        return None
    finally:
        for module, tensors in plain:  # means, which a forward pass may move to its input's device
            vars(module).update(tensors)


def _part(network: nn.Module, graph: torch.fx.Graph) -> torch.fx.GraphModule:
    """A graph with the modules that it calls. Plain tensors (means) become buffers; they stay out of the state, as before."""
    part = torch.fx.GraphModule(network, graph)
    for name in part.state_dict().keys() - network.state_dict().keys():
        home, _, field = name.rpartition(".")
        part.get_submodule(home)._non_persistent_buffers_set.add(field)
    return part


def _end_of(graph: torch.fx.Graph, last: str | None) -> torch.fx.Node | None:
    """The output of a module, or the sum that it goes into."""
    ends = [node for node in graph.nodes if node.op == "call_module" and node.target == last]
    if not ends:
        return None
    followers = list(ends[-1].users)
    return followers[0] if len(followers) == 1 and followers[0].target in SUMS else ends[-1]


def _received(graph: torch.fx.Graph, name: str) -> torch.fx.Node | None:
    """What a module is called with."""
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target == name]
    return calls[-1].args[0] if calls and isinstance(calls[-1].args[0], torch.fx.Node) else None


def _copy(target: torch.fx.Graph, node: torch.fx.Node, known: dict[torch.fx.Node, torch.fx.Node]) -> torch.fx.Node:
    """Copies a node, and all that it needs beyond the `known` ones, to which they are added."""
    needed, left = set(), [node]
    while left:
        one = left.pop()
        if one not in needed and one not in known:
            needed.add(one)
            left.extend(one.all_input_nodes)
    for one in node.graph.nodes:
        if one in needed:
            known[one] = target.node_copy(one, lambda n: known[n])
    return known[node]


def _reach_px(part: nn.Module) -> int | None:
    reach: dict[torch.fx.Node, int] = {}
    graph = _record(torch.fx.Tracer(), part)  # this one looks into blocks, down to torch's own modules
    if graph is None:
        return None
    for node in graph.nodes:
        reach[node] = max((reach[earlier] for earlier in node.all_input_nodes), default=0)
        if node.op == "call_module":
            module = part.get_submodule(str(node.target))
            if isinstance(module, nn.Conv2d) and module.stride == (1, 1):
                reach[node] += max(d * (k - 1) // 2 for d, k in zip(module.dilation, module.kernel_size, strict=True))
            elif not isinstance(module, POINTWISE_MODULES):
                return None
        elif node.op.startswith("call") and not _is_pointwise(node):
            return None
    return next(reversed(reach.values()))


def _is_pointwise(node: torch.fx.Node) -> bool:
    nearest = node.target is F.interpolate and node.kwargs.get("mode", "nearest") == "nearest"
    return bool(nearest) or node.target in POINTWISE_FUNCTIONS
