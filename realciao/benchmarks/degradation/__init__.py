"""Synthesis of training pairs: images a second against Real-ESRGAN's and BSRGAN's own, and what it costs a training.

Whole pipelines at x4: plan or kernels, sharpening and every step. All ways run in one process, in turns, and a figure is the
median of the rounds. Real-ESRGAN's own is BasicSR's code on the CPU; it was made for GPUs.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from realciao.cli import at_least, natural

if TYPE_CHECKING:
    from realciao.benchmarks.instruments.report import Table

PARTS = ("speed", "loader")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the benchmark's options."""
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    add(
        "--sizes",
        nargs="+",
        type=at_least(32),
        default=[400, 256],
        metavar="PX",
        help="edges of the HR crops, 32 at least",
    )
    add("--recipes", nargs="+", default=["realesrgan", "bsrgan"], metavar="NAME", help="default: %(default)s")
    add(
        "--images", nargs="+", default=["builtin"], metavar="FOLDER", help="photos to degrade (default: scikit-image's)"
    )
    add("--batch", type=natural, default=12, metavar="N", help="crops of a turn (default: %(default)s)")
    add("--rounds", type=natural, default=3, metavar="N", help="default: %(default)s")
    add("--threads", type=natural, default=1, metavar="N", help="of speed, for every way (default: %(default)s)")
    clocks = "ratios of speed are of these seconds; default: cpu for one thread, else wall"
    add("--clock", choices=["cpu", "wall"], help=clocks)
    add(
        "--steps", type=natural, default=40, metavar="N", help="of loader: training steps a turn (default: %(default)s)"
    )
    add("--workers", type=natural, metavar="N", help="of loader: worker processes (default: one per core)")


def run(args: argparse.Namespace, done: Callable[[float, str], None]) -> "Iterator[Table]":
    """Measures part by part."""
    from realciao.benchmarks.instruments.parts import run_parts

    args.clock = args.clock or ("cpu" if args.threads == 1 else "wall")
    yield from run_parts(__name__, args, done)
