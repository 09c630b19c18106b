"""CiaoSR, LIIF and LTE against their plain forms: time, training step, memory and multiply-accumulates.

The plain form follows the paper query by query, in chunks of 30,000; `published` is that with the non-local attention in
every chunk, as in the released code. All ways run in one process, in turns, and a figure is the median of the rounds.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from realciao.cli import at_least, natural
from realciao.errors import UserError

if TYPE_CHECKING:
    from realciao.benchmarks.instruments.report import Table

PARTS = ("speed", "scaling", "training", "memory", "macs")
ENCODERS = ("edsr", "rdn", "swinir")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the benchmark's options."""
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    add(
        "--encoders",
        nargs="+",
        choices=ENCODERS,
        default=ENCODERS,
        help="default: all; scaling and training take the first",
    )
    add(
        "--sizes",
        nargs="+",
        type=at_least(8),
        default=[48, 96, 192],
        metavar="PX",
        help="edges of the LR image, 8 at least",
    )
    add("--scales", nargs="+", type=natural, default=[2, 4, 8], metavar="S")
    every = "time only so many chunks of the plain form too, and extrapolate (default: all)"
    add("--plain_chunks", type=natural, metavar="N", help=every)
    add("--mpx", nargs="+", type=_megapixels, default=[0.25, 1, 4, 16], help="of scaling: output megapixels, at x4")
    add("--batch", type=natural, default=16, help="of training: images of 48x48 (default: %(default)s)")
    add("--rounds", type=natural, default=3, metavar="N", help="default: %(default)s")
    add("--threads", type=natural, default=1, metavar="N", help="default: %(default)s")
    add("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    add("--dtype", choices=["float32", "float64", "bfloat16", "float16"], default="float32")
    clocks = "ratios are of these seconds; default: cpu where one thread of the CPU does all, else wall"
    add("--clock", choices=["cpu", "wall"], help=clocks)


def run(args: argparse.Namespace, done: Callable[[float, str], None]) -> "Iterator[Table]":
    """Measures part by part."""
    import torch

    from realciao.benchmarks.instruments.parts import run_parts

    try:
        torch.zeros(1, device=args.device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {args.device}: cannot be used ({str(error).partition('. ')[0]})") from error
    torch.set_num_threads(args.threads)
    args.clock = args.clock or ("cpu" if args.threads == 1 and args.device == "cpu" else "wall")
    yield from run_parts(__name__, args, done)


def _megapixels(text: str) -> float:
    if not 0 < float(text) < 1000:
        raise argparse.ArgumentTypeError(f"must be above 0 and below 1000, got {text}")
    return float(text)
