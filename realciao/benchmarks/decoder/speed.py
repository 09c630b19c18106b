"""Seconds an image, by encoder, size and scale."""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from realciao.benchmarks.decoder import gemm
from realciao.benchmarks.decoder.counting import count_ours, shapes
from realciao.benchmarks.decoder.speed_rows import CLOCKS, Measured, ratio_row, rule_row, seconds_rows
from realciao.benchmarks.decoder.targets import IMAGE_TARGETS
from realciao.benchmarks.decoder.ways import (
    Case,
    guess,
    make_image,
    make_net,
    ours,
    plain_baseline,
    plain_ciaosr,
)
from realciao.benchmarks.instruments.laps import Laps, clock
from realciao.benchmarks.instruments.report import Figure, Table
from realciao.benchmarks.instruments.rounds import interleave
from realciao.benchmarks.instruments.targets import judge

WHOLE_UP_TO_PX = 48
"""Edge of the largest LR image that the published way upscales whole; of larger ones it does TIMED chunks."""
TIMED = 2

NOTE = (
    "published: the plain formula with the non-local attention in every chunk of 30,000 queries; plain: with it once an image. "
    "LIIF and LTE: the plain forms of their published code, with the same encoder; `our` LIIF and LTE: this project's decoders."
)
SHARES = (
    "ours x published: how many times as fast. GEMM: multiply-accumulates a second of matrix products of 2048x256 by 256x256, "
    "in the same rounds; share: of that rate, what the decoder reaches on its counted multiply-accumulates; share of own "
    "shapes: of the time of nothing but its own matrix products."
)

Done = Callable[[float, str], None]


class Nets(NamedTuple):
    """The networks over one encoder."""

    ciaosr: Any
    liif: Any
    lte: Any


def cases(args: argparse.Namespace) -> list[Case]:
    return [Case(side, scale) for side in args.sizes for scale in args.scales]


def cost(args: argparse.Namespace) -> float:
    """Of all tables."""
    turns = (_costs(args, encoder, case).values() for encoder in args.encoders for case in cases(args))
    return args.rounds * sum(map(sum, turns))


def tables(args: argparse.Namespace, done: Done) -> Iterator[Table]:
    """Per encoder, the seconds, the ratios and how well the extrapolation did; at the end the targets."""
    reached: list[dict[str, Figure]] = []
    for encoder in args.encoders:
        nets = _nets(args, encoder)
        measured = [_measure(args, nets, case, partial(_tell, args, done, encoder, case)) for case in cases(args)]
        yield Table("speed", f"Seconds an image, {encoder}", [row for m in measured for row in seconds_rows(m)], NOTE)
        ratios = [ratio_row(m, CLOCKS[args.clock]) for m in measured]
        yield Table("speed", f"Ratios of {args.clock} seconds, {encoder}", ratios, SHARES)
        rule = [rule_row(m, CLOCKS[args.clock]) for m in measured if "rule" in m.laps]
        if rule:
            title = f"The published way in full, and by the rule for large images, {encoder}"
            yield Table("speed", title, rule)
        reached += [{"encoder": encoder, **row} for row in ratios]
    targets = judge(IMAGE_TARGETS, reached)
    if targets:
        yield Table("speed", "Targets", targets)


def _nets(args: argparse.Namespace, encoder: str) -> Nets:
    nets = Nets(*(make_net(args, encoder, name) for name in ("CiaoSR", "LIIF", "LTE")))
    nets.liif.encoder = nets.lte.encoder = nets.ciaosr.encoder
    return nets


def _tell(args: argparse.Namespace, done: Done, encoder: str, case: Case, way: str) -> None:
    done(_costs(args, encoder, case)[way], f"speed: {encoder} {case.side} x{case.scale} {way}")


def _chunks(args: argparse.Namespace, case: Case) -> dict[str, int]:
    """How many chunks each of the plain ways does; `rule` is the published way in part where it also is done whole."""
    whole = case.side <= WHOLE_UP_TO_PX
    chunks = {
        "plain": min(args.plain_chunks or case.chunks, case.chunks),
        "published": case.chunks if whole else min(TIMED, case.chunks),
    }
    return chunks | ({"rule": min(TIMED, case.chunks - 1)} if whole and case.chunks > 1 else {})


def _costs(args: argparse.Namespace, encoder: str, case: Case) -> dict[str, float]:
    """A guess at the work of a turn of each way."""
    costs = {"ours": guess(encoder, "CiaoSR", case, "ours")}
    costs |= {way: guess(encoder, "CiaoSR", case, way, chunks) for way, chunks in _chunks(args, case).items()}
    for name in ("LIIF", "LTE"):
        costs |= {name: guess(encoder, name, case, "baseline"), f"our {name}": guess(encoder, name, case, "ours")}
    return costs | {"GEMM": 1e10}


def _measure(args: argparse.Namespace, nets: Nets, case: Case, told: Callable[[str], None]) -> Measured:
    lq = make_image(args, case.side)
    macs = count_ours(nets.ciaosr, lq, case)  # which also warms up
    multiplied = shapes(nets.ciaosr, lq, case)
    meter = clock(lq.device)
    images: dict[str, Tensor] = {}

    def turn(name: str, way: Callable[..., Tensor], net: Any) -> Callable[[], Laps]:
        def run() -> Laps:
            laps = Laps(meter)
            images[name] = way(net, lq, case, laps)
            return laps

        return run

    chunks = _chunks(args, case)
    turns: dict[str, Callable[[], Laps]] = {"ours": turn("ours", ours, nets.ciaosr)}
    for name, count in chunks.items():
        plain = partial(plain_ciaosr, hoist_non_local=name == "plain", chunks=count)
        turns[name] = turn(name, plain, nets.ciaosr)
    for name, net in (("LIIF", nets.liif), ("LTE", nets.lte)):
        turns[name] = turn(name, partial(plain_baseline, name.lower()), net)
        turns[f"our {name}"] = turn(f"our {name}", ours, net)
    turns["GEMM"] = partial(gemm.measure, multiplied, meter, lq)
    laps = interleave(turns, args.rounds, told)
    error = (images["ours"][: len(images["plain"])] - images["plain"]).abs().max().item()
    return Measured(case, chunks, laps, macs, multiplied, error)
