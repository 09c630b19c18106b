"""A training step: forward and backward of a batch of random queries, as in the paper."""

import argparse
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from realciao.benchmarks.decoder.targets import TRAINING_TARGETS
from realciao.benchmarks.decoder.ways import Case, guess, make_image, make_net
from realciao.benchmarks.instruments.judges import plain
from realciao.benchmarks.instruments.laps import Laps, clock
from realciao.benchmarks.instruments.report import Table
from realciao.benchmarks.instruments.rounds import interleave, median_ratio
from realciao.benchmarks.instruments.targets import judge
from realciao.machine.memory import peak_bytes

SIDE = 48
QUERIES = 2304
WAYS = ("ours", "plain")
Gradients = dict[str, Tensor]
NOTE = (
    "Plain: the plain formula with the non-local attention as it was published, once a step. Peak memory is that of one step "
    "in a process of its own. A rounding that moves an input of a ReLU over zero switches its gradient, so in float32 fresh "
    "weights' smallest gradients differ by more than roundings; float64, of two images, shows that the formulas agree."
)


class Batch(NamedTuple):
    lq: Float[Tensor, "b 3 h w"]
    coord: Float[Tensor, "b q 2"]
    cell: Float[Tensor, "b 2"]
    gt: Float[Tensor, "b q 3"]


def cost(args: argparse.Namespace) -> float:
    """Of all tables; three passes of a step, each with one query a pixel."""
    return sum(_turn_cost(args, args.encoders[0], way) * (args.rounds + 1) for way in WAYS)


def tables(args: argparse.Namespace, done: Callable[[float, str], None]) -> Iterator[Table]:
    """One row, of the first encoder."""
    encoder = args.encoders[0]
    rows = [_measure(args, encoder, lambda way: _tell(args, done, encoder, way))]
    title = (
        f"A training step: {args.batch} of {SIDE}x{SIDE}, {QUERIES} queries each, scales 1 to 4 (ratio of {args.clock})"
    )
    yield Table("training", title, rows, NOTE)
    targets = judge(TRAINING_TARGETS, rows)
    if targets:
        yield Table("training", "Targets", targets)


def make_batch(args: argparse.Namespace) -> Batch:
    """Pixels of images of which each has its own scale.

    The wanted colours lie so far outside the predicted ones that no difference changes its sign, where the gradient of the
    loss would jump.
    """
    generator = torch.Generator().manual_seed(0)
    scales = 1 + 3 * torch.rand(args.batch, generator=generator)
    sizes = (SIDE * scales).round()[:, None, None]
    pixels = (torch.rand(args.batch, QUERIES, 2, generator=generator) * sizes).floor()
    coord = (2 * pixels + 1) / sizes - 1
    cell = (2 / sizes[:, 0]).expand(-1, 2).contiguous()
    lq = make_image(args, SIDE, args.batch)
    gt = 200.0 * torch.randint(0, 2, (args.batch, QUERIES, 3), generator=generator) - 100
    return Batch(lq, coord.to(lq.device), cell.to(lq.device), gt.to(lq))


def step(net: Any, way: str, batch: Batch) -> None:
    """Leaves the gradients of the L1 loss in the network's parameters."""
    net.zero_grad()
    if way == "ours":
        pred = net(batch.lq, batch.coord[:, None], batch.cell)[:, :, 0].transpose(1, 2)
    else:
        ciaosr = plain("ciaosr")
        decode = partial(ciaosr.plain_query, net.decoder, non_local=ciaosr.published_non_local)
        pred = plain("network").plain_network(net, batch.lq, batch.coord, batch.cell, decode)
    (pred - batch.gt).abs().mean().backward()


def _tell(args: argparse.Namespace, done: Callable[[float, str], None], encoder: str, way: str) -> None:
    done(_turn_cost(args, encoder, way), f"training: {encoder} {way}")


def _turn_cost(args: argparse.Namespace, encoder: str, way: str) -> float:
    return 3 * args.batch * guess(encoder, "CiaoSR", Case(SIDE, 1), way)


def _measure(args: argparse.Namespace, encoder: str, told: Callable[[str], None]) -> dict[str, Any]:
    net, batch = make_net(args, encoder), make_batch(args)
    meter = clock(batch.lq.device)
    gradients: dict[str, Gradients] = {}

    def turn(way: str) -> Laps:
        laps = Laps(meter)
        with laps.lap("whole"):
            step(net, way, batch)
        gradients[way] = _gradients(net)
        return laps

    laps = interleave({way: partial(turn, way) for way in WAYS}, args.rounds, told)
    peaks = {}
    for way in WAYS:
        peaks[way] = peak_bytes(_prepare_step, args, encoder, way)
        told(way)
    seconds = {way: {i: [float(lap.spent["whole"][i]) for lap in laps[way]] for i in (0, 1)} for way in WAYS}
    index = 1 if args.clock == "cpu" else 0
    row: dict[str, Any] = {"encoder": encoder}
    for name, i in (("wall", 0), ("cpu", 1)):
        row |= {f"{way} {name} s": statistics.median(seconds[way][i]) for way in WAYS}
    return row | {
        "ours x plain": median_ratio(seconds["plain"][index], seconds["ours"][index]),
        **{f"{way} MiB": peaks[way] / 2**20 for way in WAYS},
        "gradient differs by": whole_difference(gradients["ours"], gradients["plain"]),
        "worst parameter": worst_difference(gradients["ours"], gradients["plain"]),
        "worst in float64": _exact_difference(args, encoder),
    }


def _gradients(net: Any) -> Gradients:
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def _exact_difference(args: argparse.Namespace, encoder: str) -> float:
    """Of the worst parameter, of a small batch in float64."""
    exact = argparse.Namespace(**{**vars(args), "batch": min(2, args.batch), "dtype": "float64"})
    net, batch = make_net(exact, encoder), make_batch(exact)
    gradients = []
    for way in WAYS:
        step(net, way, batch)
        gradients.append(_gradients(net))
    return worst_difference(*gradients)


def worst_difference(ours: Gradients, plain: Gradients) -> float:
    """The largest difference in any parameter, relative to the largest entry of its gradient."""
    assert ours.keys() == plain.keys()
    return max(
        ((ours[name] - wanted).abs().max() / wanted.abs().max().clamp(min=1e-30)).item()
        for name, wanted in plain.items()
    )


def whole_difference(ours: Gradients, plain: Gradients) -> float:
    """The length of the difference of all gradients, as one vector, relative to that of the vector."""
    one, other = (torch.cat([gradients[name].flatten() for name in plain]) for gradients in (ours, plain))
    return ((one - other).norm() / other.norm()).item()


def _prepare_step(args: argparse.Namespace, encoder: str, way: str) -> tuple[Callable[[], object], str]:
    torch.set_num_threads(args.threads)
    net = make_net(args, encoder)
    small = argparse.Namespace(**{**vars(args), "batch": 1})
    step(net, way, make_batch(small))  # what is allocated once for all
    batch = make_batch(args)
    return partial(step, net, way, batch), args.device
