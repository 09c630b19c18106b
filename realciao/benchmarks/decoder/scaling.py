"""Seconds an output megapixel, over sizes: what a decoder should not depend on."""

import argparse
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from realciao.benchmarks.decoder.targets import SCALING_TARGETS
from realciao.benchmarks.decoder.ways import Case, guess, make_image, make_net, ours
from realciao.benchmarks.instruments.laps import Laps, clock
from realciao.benchmarks.instruments.report import Figure, Table
from realciao.benchmarks.instruments.rounds import interleave
from realciao.benchmarks.instruments.targets import judge

SCALE = 4
WINDOW_PX = 256
GLOBAL_UP_TO_PX = 256
"""Edge of the largest LR image for which every pixel attends to all others: the time grows with the area squared."""
OFF, WINDOWS, GLOBAL = "off", f"windows of {WINDOW_PX}", "global"


def cases(args: argparse.Namespace) -> list[Case]:
    return [Case(max(1, round((1e6 * mpx) ** 0.5 / SCALE)), SCALE) for mpx in args.mpx]


def cost(args: argparse.Namespace) -> float:
    """Of all tables."""
    return args.rounds * sum(_cost(args, mode, case) for mode in _nets(args) for case in _of(mode, args))


def tables(args: argparse.Namespace, done: Callable[[float, str], None]) -> Iterator[Table]:
    """The seconds by size, and how far they are spread."""
    rows: list[dict[str, Figure]] = []
    spreads: list[dict[str, Figure]] = []
    for mode, net in _nets(args).items():
        new = _measure(args, mode, net, done)
        rows += new
        each = [float(row[f"{args.clock} s/Mpx"] or 0) for row in new]
        if len(each) > 1:
            spreads.append({"non-local": mode, "spread": max(each) / min(each) - 1})
    encoder = args.encoders[0]
    yield Table("scaling", f"Seconds an output megapixel at x{SCALE}, {encoder}", rows)
    if spreads:
        yield Table("scaling", f"Their spread, most over least ({args.clock})", spreads)
    targets = judge(SCALING_TARGETS, spreads)
    if targets:
        yield Table("scaling", "Targets", targets)


def _nets(args: argparse.Namespace) -> dict[str, Any]:
    """By what the non-local attention does."""
    make = partial(make_net, args, args.encoders[0])
    nets = {OFF: make(non_local_scales=[]), GLOBAL: make()}
    if "nonlocal_window" in nets[GLOBAL].spec["decoder"]:
        nets[WINDOWS] = make(nonlocal_window=WINDOW_PX)
    return nets


def _of(mode: str, args: argparse.Namespace) -> list[Case]:
    return [case for case in cases(args) if mode != GLOBAL or case.side <= GLOBAL_UP_TO_PX]


def _cost(args: argparse.Namespace, mode: str, case: Case) -> float:
    window = WINDOW_PX if mode == WINDOWS else None
    return guess(args.encoders[0], "CiaoSR", case, "ours", non_local=mode != OFF, window=window)


def _measure(
    args: argparse.Namespace, mode: str, net: Any, done: Callable[[float, str], None]
) -> list[dict[str, Figure]]:
    at = {str(case.side): case for case in _of(mode, args)}
    meter = clock(make_image(args, 1).device)

    def turn(case: Case) -> Laps:
        laps = Laps(meter)
        ours(net, make_image(args, case.side), case, laps)
        return laps

    def tell(side: str) -> None:
        done(_cost(args, mode, at[side]), f"scaling: non-local {mode}, {side} x{SCALE}")

    turns = {side: partial(turn, case) for side, case in at.items()}
    laps = interleave(turns, args.rounds, tell)
    return [_row(mode, case, laps[side]) for side, case in at.items()]


def _row(mode: str, case: Case, laps: list[Laps]) -> dict[str, Figure]:
    mpx = case.queries / 1e6
    wall, cpu = (statistics.median(float(lap.spent["whole"][i]) for lap in laps) / mpx for i in (0, 1))
    return {"non-local": mode, "LR": case.side, "output Mpx": mpx, "wall s/Mpx": wall, "cpu s/Mpx": cpu}
