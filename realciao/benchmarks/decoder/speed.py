"""Seconds an image, by encoder, size and scale."""

import argparse
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from realciao.benchmarks.decoder import gemm
from realciao.benchmarks.decoder.counting import Macs, count_ours, shapes
from realciao.benchmarks.decoder.extrapolation import extrapolate
from realciao.benchmarks.decoder.targets import IMAGE_TARGETS, judge
from realciao.benchmarks.decoder.ways import (
    CHUNK,
    Case,
    guess,
    make_image,
    make_net,
    ours,
    plain_baseline,
    plain_ciaosr,
)
from realciao.measuring.laps import Laps, clock
from realciao.measuring.report import Figure, Table
from realciao.measuring.rounds import interleave, median_ratio

WHOLE_UP_TO_PX = 48
"""Edge of the largest LR image that the published way upscales whole; of larger ones it does TIMED chunks."""
TIMED = 2

CLOCKS = {"wall": 0, "cpu": 1}
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


class Measured(NamedTuple):
    """One case, round by round."""

    case: Case
    chunks: dict[str, int]
    """That each of the plain ways did."""
    laps: dict[str, list[Laps]]
    macs: Macs
    shapes: Counter[gemm.Shape]
    error: float
    """Of ours, against as much as plain did."""


def cases(args: argparse.Namespace) -> list[Case]:
    return [Case(side, scale) for side in args.sizes for scale in args.scales]


def cost(args: argparse.Namespace) -> float:
    """Of all tables."""
    work = 0.0
    for encoder in args.encoders:
        nets = _nets(args, encoder)
        work += sum(sum(_costs(args, nets, case).values()) * args.rounds for case in cases(args))
    return work


def tables(args: argparse.Namespace, done: Done) -> Iterator[Table]:
    """Per encoder, the seconds, the ratios and how well the extrapolation did; at the end the targets."""
    reached: list[dict[str, Figure]] = []
    for encoder in args.encoders:
        nets = _nets(args, encoder)
        measured = [_measure(args, nets, case, partial(_tell, args, done, nets, encoder, case)) for case in cases(args)]
        yield Table("speed", f"Seconds an image, {encoder}", [row for m in measured for row in _seconds(m)], NOTE)
        ratios = [_ratios(m, CLOCKS[args.clock]) for m in measured]
        yield Table("speed", f"Ratios of {args.clock} seconds, {encoder}", ratios, SHARES)
        rule = [_rule(m, CLOCKS[args.clock]) for m in measured if "rule" in m.laps]
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


def _tell(args: argparse.Namespace, done: Done, nets: Nets, encoder: str, case: Case, way: str) -> None:
    done(_costs(args, nets, case)[way], f"speed: {encoder} {case.side} x{case.scale} {way}")


def _chunks(args: argparse.Namespace, case: Case) -> dict[str, int]:
    """How many chunks each of the plain ways does; `rule` is the published way in part where it also is done whole."""
    whole = case.side <= WHOLE_UP_TO_PX
    chunks = {
        "plain": min(args.plain_chunks or case.chunks, case.chunks),
        "published": case.chunks if whole else min(TIMED, case.chunks),
    }
    return chunks | ({"rule": min(TIMED, case.chunks - 1)} if whole and case.chunks > 1 else {})


def _costs(args: argparse.Namespace, nets: Nets, case: Case) -> dict[str, float]:
    """A guess at the work of a turn of each way."""
    costs = {"ours": guess(nets.ciaosr, case, "ours")}
    costs |= {way: guess(nets.ciaosr, case, way, chunks) for way, chunks in _chunks(args, case).items()}
    for name, net in (("LIIF", nets.liif), ("LTE", nets.lte)):
        costs |= {name: guess(net, case, "baseline"), f"our {name}": guess(net, case, "ours")}
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


def _spent(measured: Measured, way: str, index: int) -> list[float]:
    """Seconds of a way in each round, extrapolated where it did not do all."""
    case, timed = measured.case, measured.chunks.get(way, measured.case.chunks)
    laps = measured.laps[way]
    if timed == case.chunks:
        return [float(lap.spent["whole"][index]) for lap in laps]
    of_all = partial(extrapolate, timed=timed, queries=case.queries, chunk=CHUNK, hoisted=way == "plain")
    parts = [(lap.spent["encoder"], lap.spent["non_local"], lap.rest("whole")) for lap in laps]
    return [of_all(*(float(part[index]) for part in lap)) for lap in parts]


def _seconds(measured: Measured) -> Iterator[dict[str, Figure]]:
    case = measured.case
    for name, index in CLOCKS.items():
        seconds = {
            f"{way} s": statistics.median(_spent(measured, way, index))
            for way in measured.laps
            if way not in ("rule", "GEMM")
        }
        parts = {way: done for way, done in measured.chunks.items() if way != "rule" and done < case.chunks}
        extrapolated = ", ".join(f"{way} from {done} of {case.chunks} chunks" for way, done in parts.items())
        yield {
            "LR": case.side,
            "scale": case.scale,
            "clock": name,
            **seconds,
            "extrapolated": extrapolated or "nothing",
        }


def _ratios(measured: Measured, index: int) -> dict[str, Figure]:
    spent = {way: _spent(measured, way, index) for way in measured.laps if way != "GEMM"}

    def ratio(above: str, below: str) -> float:
        return median_ratio(spent[above], spent[below])

    decoder = [float(laps.rest("whole")[index]) for laps in measured.laps["ours"]]
    reference = [float(laps.spent["reference"][index]) for laps in measured.laps["GEMM"]]
    own = [float(laps.spent["shapes"][index]) for laps in measured.laps["GEMM"]]
    rates = [gemm.macs(gemm.REFERENCE) / seconds for seconds in reference]
    # the products of one band, for those of all
    own_macs = sum(gemm.macs(shape) * count for shape, count in measured.shapes.items())
    whole = measured.macs.queries / own_macs
    return {
        "LR": measured.case.side,
        "scale": measured.case.scale,
        "ours x published": ratio("published", "ours"),
        "ours x plain": ratio("plain", "ours"),
        "ours / LTE": ratio("ours", "LTE"),
        "ours / LIIF": ratio("ours", "LIIF"),
        "our LTE / LTE": ratio("our LTE", "LTE"),
        "our LIIF / LIIF": ratio("our LIIF", "LIIF"),
        "decoder us/px": 1e6 * statistics.median(decoder) / measured.case.queries,
        "decoder kMAC/px": measured.macs.decoder / measured.case.queries / 1e3,
        "GEMM GMAC/s": statistics.median(rates) / 1e9,
        "share of GEMM": median_ratio([measured.macs.decoder / rate for rate in rates], decoder),
        "share of own shapes": median_ratio([whole * seconds for seconds in own], decoder),
        "max error": measured.error,
    }


def _rule(measured: Measured, index: int) -> dict[str, Figure]:
    full, ruled = (_spent(measured, way, index) for way in ("published", "rule"))
    return {
        "LR": measured.case.side,
        "scale": measured.case.scale,
        "chunks": measured.case.chunks,
        "all of them s": statistics.median(full),
        "by the rule s": statistics.median(ruled),
        "from chunks": measured.chunks["rule"],
        "error": median_ratio(ruled, full) - 1,
    }
