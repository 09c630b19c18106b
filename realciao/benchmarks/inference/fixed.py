"""Against Real-ESRGAN's way to a scale: a network for x4, and its result resized."""

import argparse
import statistics
from collections.abc import Callable, Iterator

import cv2

from realciao.benchmarks.inference.ways import FIXED_SCALE, make_fixed, make_net, make_photo, meter_of, seconds_name
from realciao.benchmarks.instruments.report import Figure, Table
from realciao.benchmarks.instruments.rounds import interleave, median_ratio
from realciao.coords import scaled_size
from realciao.upscaling.upscaler import Upscaler

SECONDS_AN_LR_MPX = 60


def cost(args: argparse.Namespace) -> float:
    """In seconds, roughly."""
    return sum(_cost(args, scale) for scale in args.scales)


def _cost(args: argparse.Namespace, scale: float) -> float:
    return args.rounds * SECONDS_AN_LR_MPX * args.size**2 / 1e6 * (scale**2 / 4 + 1)


def tables(args: argparse.Namespace, done: Callable[[float, str], None]) -> Iterator[Table]:
    """Seconds of a photo, side by side."""
    net = make_net(args)
    ours, fixed = Upscaler(net, args.device), Upscaler(make_fixed(net), args.device)
    meter, which = meter_of(args, ours)
    photo = make_photo(args.size, args.size)
    rows: list[dict[str, Figure]] = []
    for scale in args.scales:
        height, width = scaled_size((args.size, args.size), scale)

        def direct(size: tuple[int, int] = (height, width)) -> float:
            before = meter()
            ours.upscale(photo, size=size)
            return float((meter() - before)[which])

        def resized(size: tuple[int, int] = (height, width)) -> float:
            before = meter()
            large = fixed.upscale(photo, FIXED_SCALE)
            cv2.resize(large, size[::-1], interpolation=cv2.INTER_LANCZOS4)
            return float((meter() - before)[which])

        direct()  # the first run of all is slower
        resized()
        turn = _cost(args, scale) / (2 * args.rounds)
        spent = interleave({"direct": direct, "resized": resized}, args.rounds, lambda name: done(turn, name))  # noqa: B023
        ratios = [a / b for a, b in zip(spent["direct"], spent["resized"], strict=True)]
        unit = seconds_name(args)
        rows.append(
            {
                "scale": f"{scale:g}",
                f"at that scale, {unit}": statistics.median(spent["direct"]),
                f"x4 and resized, {unit}": statistics.median(spent["resized"]),
                "ratio": median_ratio(spent["direct"], spent["resized"]),
                "lowest": min(ratios),
                "highest": max(ratios),
            }
        )
    note = "The same encoder; x4 by PixelShuffleDecoder, resized by Lanczos as Real-ESRGAN does. Below 1: quicker."
    yield Table("fixed", f"A {args.size}x{args.size} photo: decoded at a scale, or x4 and resized", rows, note)
