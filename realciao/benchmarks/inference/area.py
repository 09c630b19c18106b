"""Whether a megapixel of a large result takes as long as one of a small result."""

import argparse
import statistics
from collections.abc import Callable, Iterator
from functools import partial

from realciao.benchmarks.inference.ways import make_net, make_photo, meter_of, seconds_name
from realciao.benchmarks.instruments.report import Figure, Table
from realciao.benchmarks.instruments.rounds import interleave
from realciao.images.pixels import AnyImage
from realciao.upscaling.upscaler import Upscaler

SMALLEST_MPX = 0.25
SECONDS_A_MPX = 15


def areas(args: argparse.Namespace) -> list[float]:
    """Output megapixels, each four times those before, as far as --max_mpx goes."""
    found = [SMALLEST_MPX]
    while 4 * found[-1] <= args.max_mpx:
        found.append(4 * found[-1])
    return found


def cost(args: argparse.Namespace) -> float:
    """In seconds, roughly."""
    return SECONDS_A_MPX * args.rounds * sum(areas(args))


def tables(args: argparse.Namespace, done: Callable[[float, str], None]) -> Iterator[Table]:
    """Seconds of an output megapixel, by area."""
    upscaler = Upscaler(make_net(args), args.device)
    photos = {}
    for area in areas(args):
        side = max(1, round((area * 1e6) ** 0.5 / args.area_scale))
        photos[f"{area:g}"] = make_photo(side, side)
    _spend(args, upscaler, photos[f"{SMALLEST_MPX:g}"])  # the first run of all is slower
    ways = {name: partial(_spend, args, upscaler, photo) for name, photo in photos.items()}
    spent = interleave(ways, args.rounds, lambda name: done(SECONDS_A_MPX * float(name), f"{name} Mpx"))
    unit = f"{seconds_name(args)} an output Mpx"
    rows: list[dict[str, Figure]] = []
    for name, rounds in spent.items():
        height, width = photos[name].shape[:2]
        rows.append(
            {
                "output Mpx": name,
                "photo": f"{width}x{height}",
                unit: statistics.median(rounds),
                "lowest": min(rounds),
                "highest": max(rounds),
            }
        )
    medians = [statistics.median(rounds) for rounds in spent.values()]
    spread = 100 * (max(medians) / min(medians) - 1)
    note = f"From the quickest to the slowest area {spread:.0f} %; to be reached: 15 %."
    yield Table("area", f"A photo at x{args.area_scale:g}, by the area of the result", rows, note)


def _spend(args: argparse.Namespace, upscaler: Upscaler, photo: AnyImage) -> float:
    """Seconds of an output megapixel; bands are thrown away as they come."""
    meter, which = meter_of(args, upscaler)
    before = meter()
    bands = upscaler.upscale_bands(photo, args.area_scale)
    for _ in bands.rows:
        pass
    return float((meter() - before)[which]) / (bands.shape[0] * bands.shape[1]) * 1e6
