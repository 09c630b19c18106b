"""Upscaling of whole photos: time by area, against a x4 network whose result is resized, and from a cold start.

All ways run in turns, and a figure is the median of the rounds. With one thread on a CPU seconds are those of the CPU, else of
the clock on the wall. The network is that of options/lite.yml with fresh weights, unless weights are given.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from realciao.cli import at_least, natural

if TYPE_CHECKING:
    from realciao.benchmarks.instruments.report import Table

PARTS = ("area", "fixed", "start")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the benchmark's options."""
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    add("--weights", metavar="FILE", help="of the network (default: options/lite.yml's, untrained)")
    add("--max_mpx", type=float, default=1, metavar="N", help="of area: 0.25, 1, 4 ... output megapixels (default: 1)")
    add("--area_scale", type=float, default=4, metavar="S", help="of area: the scale (default: 4)")
    add("--scales", nargs="+", type=float, default=[1.5, 2, 3], metavar="S", help="of fixed (default: 1.5 2 3)")
    add(
        "--size",
        type=at_least(16),
        default=128,
        metavar="PX",
        help="edge of the photo of fixed and start (default: 128)",
    )
    add("--rounds", type=natural, default=3, metavar="N", help="(default: 3)")
    add("--threads", type=natural, default=1, metavar="N", help="(default: 1)")
    add("--device", default="cpu", help="(default: cpu)")


def run(args: argparse.Namespace, done: Callable[[float, str], None]) -> "Iterator[Table]":
    """Measures part by part."""
    import torch

    from realciao.benchmarks.instruments.parts import run_parts

    torch.set_num_threads(args.threads)
    yield from run_parts(__name__, args, done)
