"""Degrades a file or a folder of images by a recipe, and writes beside every result the plan that made it."""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from realciao.commands import Parser, command
from realciao.commands.extract_noise import add_options, extract_noise
from realciao.commands.jobs import Job, mirror, refuse_existing
from realciao.commands.progress_line import ProgressLine
from realciao.errors import UserError
from realciao.files import atomic_write

MakePlan = Callable[[int, tuple[int, int]], dict[str, Any]]
"""From the running number of an image and its size (height, width) to its plan."""


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="degrade.py",
        description="Writes STEM.png, the degraded image, and STEM.json, the plan that made it, for every image; the "
        "folders of the input are mirrored.",
    )
    add = parser.add_argument
    add("-i", "--input", type=Path, required=True, help="an image, or a folder of images")
    add("-o", "--output", type=Path, required=True, help="folder for the results")
    add("--pipeline", default="realesrgan", help="name of a recipe, or a .yml file (default: %(default)s)")
    add("--scale", type=_scale, default=4.0, help="how many times smaller the results are (default: %(default)g)")
    add("--seed", type=_seed, default=0, help="same seed and same files, same results (default: %(default)s)")
    add(
        "--replay",
        type=Path,
        metavar="PLAN.json",
        help="do what this plan says; pipeline, scale and seed then are unused",
    )
    add("--overwrite", action="store_true", help="replace results that are already there")
    add_options(parser)
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.extract_noise:
        return extract_noise(args)
    jobs = mirror(args.input, args.output, lambda source: f"{source.stem}.png")
    if not args.overwrite:
        refuse_existing(path for job in jobs for path in (job.target, _plan_file(job)))
    make_plan = _replay(args.replay) if args.replay else _draw(args.pipeline, args.scale, args.seed)
    failed = 0
    with closing(ProgressLine(len(jobs))) as line:
        for number, job in enumerate(jobs):
            try:
                _degrade(job, number, make_plan)
                line.show(number + 1, job.source.name)
            except UserError as error:
                failed += 1
                line.close()
                print(f"error: {error}", file=sys.stderr)
    print(f"{len(jobs) - failed} of {len(jobs)} images degraded into {args.output}")
    return 1 if failed else 0


def _plan_file(job: Job) -> Path:
    return job.target.with_suffix(".json")


def _draw(pipeline: str, scale: float, seed: int) -> MakePlan:
    import numpy as np

    from degradations import RecipeError, build_pipeline

    try:
        built = build_pipeline(pipeline)
    except RecipeError as error:
        raise UserError(f"--pipeline: {error}") from error
    return lambda number, size: built.sample(np.random.Generator(np.random.Philox(key=[seed, number])), size, scale)


def _replay(path: Path) -> MakePlan:
    from degradations import RecipeError, check_plan

    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        check_plan(plan)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: is not JSON ({error})") from error
    except RecipeError as error:
        raise UserError(f"{path}: {error}") from error
    return lambda number, size: plan


def _degrade(job: Job, number: int, make_plan: MakePlan) -> None:
    import numpy as np

    from degradations import RecipeError, apply
    from realciao.image import from_float, read_rgb, write_image

    image = read_rgb(job.source)
    try:
        plan = make_plan(number, image.shape[:2])
        lq = apply(plan, image)
    except RecipeError as error:
        raise UserError(f"{job.source}: {error}") from error
    write_image(job.target, from_float(lq, np.uint8))
    atomic_write(_plan_file(job), json.dumps(plan, indent=1) + "\n")


def _scale(text: str) -> float:
    value = float(text)
    if not 1 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**64:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2^64 - 1, got {text}")
    return value
