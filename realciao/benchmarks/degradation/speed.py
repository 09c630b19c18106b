"""Images a second of whole pipelines, by the edge of the HR crop."""

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import cv2
import torch

from degradations.errors import suggest
from degradations.pipeline import recipe_names
from realciao.benchmarks.degradation import bsrgan, ways
from realciao.benchmarks.degradation.crops import hr_crops
from realciao.benchmarks.instruments.laps import Laps, clock
from realciao.benchmarks.instruments.report import Figure, Table
from realciao.benchmarks.instruments.rounds import interleave, median_ratio
from realciao.benchmarks.instruments.targets import Target, judge
from realciao.errors import UserError

CLOCKS = {"wall": 0, "cpu": 1}
"""Where a clock's seconds are in a reading."""
REAL_ESRGAN, BSRGAN = "Real-ESRGAN's own", "BSRGAN's own"
NOTE = (
    "OpenCV: plan, sharpening and all steps, image by image. torch: the same plans as one batch. Real-ESRGAN's own: BasicSR's "
    "code (kernels; feed_data without the pool, its filter's inputs made contiguous) as one batch; made for GPUs. BSRGAN's "
    "own: computed, see the next table. Ratios are medians of the rounds' ratios."
)
DERIVATION = (
    "Computed, not run: what its dominant steps take, times how often they run by the published probabilities (derived in "
    "realciao/benchmarks/degradation/bsrgan.py). Noise, resizing and JPEG are counted as nothing."
)

Done = Callable[[float, str], None]


def targets(edge: int) -> list[Target]:
    at_least = {400: (15, 5), 256: (25, 4)}
    if edge not in at_least:
        return []
    real_esrgan, bsrgan = at_least[edge]
    return [
        Target({"edge": edge, "recipe": "realesrgan", "way": "OpenCV"}, f"x {REAL_ESRGAN}", real_esrgan),
        Target({"edge": edge, "recipe": "realesrgan", "way": "OpenCV"}, f"x {BSRGAN}", bsrgan),
        Target({"edge": edge, "recipe": "bsrgan", "way": "OpenCV"}, f"x {BSRGAN}", bsrgan),
        *(
            Target({"edge": edge, "recipe": r, "way": "torch"}, "OpenCV is x", 2.5, at_least=False)
            for r in ("realesrgan", "bsrgan")
        ),
    ]


def cost(args: argparse.Namespace) -> float:
    """Of all tables, in crops of a million pixels by OpenCV."""
    return args.rounds * sum(sum(_costs(args, edge).values()) for edge in args.sizes)


def tables(args: argparse.Namespace, done: Done) -> Iterator[Table]:
    """Per edge, the images a second and how BSRGAN's were computed; at the end the targets."""
    _check_recipes(args.recipes)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    reached: list[dict[str, Figure]] = []
    for edge in args.sizes:
        laps = _measure(args, edge, done)
        rows = _rows(args, edge, laps)
        title = (
            f"Images a second, x{ways.SCALE}, crops of {edge}, threads: {args.threads} (ratios of {args.clock} seconds)"
        )
        yield Table("speed", title, rows, NOTE)
        yield Table(
            "speed", f"Milliseconds of an image by BSRGAN's own, {edge}", _steps(args, laps[BSRGAN]), DERIVATION
        )
        reached += rows
    judged = judge([target for edge in args.sizes for target in targets(edge)], reached)
    if judged:
        yield Table("speed", "Targets", judged)


def _check_recipes(names: Sequence[str]) -> None:
    for name in names:
        if name not in recipe_names():
            raise UserError(f"--recipes: no recipe is called '{name}'{suggest(name, recipe_names())}")


def _costs(args: argparse.Namespace, edge: int) -> dict[str, float]:
    mega = edge**2 * 1e-6
    costs = {REAL_ESRGAN: 50 * args.batch * mega, BSRGAN: 15 * mega + 0.2}
    for recipe in args.recipes:
        costs[f"OpenCV {recipe}"] = args.batch * mega
        costs[f"torch {recipe}"] = 2 * args.batch * mega
    return costs


def _measure(args: argparse.Namespace, edge: int, done: Done) -> dict[str, list[Laps]]:
    crops, meter = hr_crops(args.images, edge, args.batch), clock(torch.device("cpu"))
    makers: dict[str, Callable[..., ways.Turn]] = {REAL_ESRGAN: ways.real_esrgan, BSRGAN: ways.bsrgan_steps}
    for recipe in args.recipes:
        makers[f"OpenCV {recipe}"] = partial(ways.opencv, recipe)
        makers[f"torch {recipe}"] = partial(ways.batched, recipe)
    for make in makers.values():  # what is done once for all
        make(crops[:1], meter)()
    costs = _costs(args, edge)
    turns = {name: make(crops, meter) for name, make in makers.items()}
    return interleave(turns, args.rounds, lambda way: done(costs[way], f"speed: {edge} {way}"))


def _seconds(args: argparse.Namespace, name: str, laps: list[Laps], index: int) -> list[float]:
    """Of an image, in each round."""
    if name != BSRGAN:
        return [float(lap.spent["whole"][index]) / args.batch for lap in laps]
    counted = bsrgan.calls()._asdict()
    return [sum(times * float(lap.spent[step][index]) for step, times in counted.items()) for lap in laps]


def _rows(args: argparse.Namespace, edge: int, laps: dict[str, list[Laps]]) -> list[dict[str, Figure]]:
    seconds = {
        clock: {name: _seconds(args, name, of_way, index) for name, of_way in laps.items()}
        for clock, index in CLOCKS.items()
    }
    judging = seconds[args.clock]
    rows: list[dict[str, Figure]] = []
    for name in laps:
        way, _, recipe = name.partition(" ") if name not in (REAL_ESRGAN, BSRGAN) else (name, "", "-")
        row: dict[str, Figure] = {"edge": edge, "way": way, "recipe": recipe}
        row |= {f"images/s {clock}": 1 / statistics.median(of_clock[name]) for clock, of_clock in seconds.items()}
        for other in (REAL_ESRGAN, BSRGAN):
            row[f"x {other}"] = None if name == other else median_ratio(judging[other], judging[name])
        row["OpenCV is x"] = median_ratio(judging[name], judging[f"OpenCV {recipe}"]) if way == "torch" else None
        rows.append(row)
    return rows


def _steps(args: argparse.Namespace, laps: list[Laps]) -> list[dict[str, Figure]]:
    size, large = bsrgan.MEAN_KERNEL, bsrgan.SHIFTED_KERNEL
    names = {
        "kernel": f"anisotropic kernel of {size}x{size}, tap by tap",
        "blur": f"convolution {size}x{size}",
        "shifted_blur": f"convolution {large}x{large}",
    }
    rows: list[dict[str, Figure]] = []
    for step, times in bsrgan.calls()._asdict().items():
        ms = 1000 * statistics.median(float(lap.spent[step][CLOCKS[args.clock]]) for lap in laps)
        rows.append({"step": names[step], "ms": ms, "times an image": times, "ms an image": times * ms})
    return rows
