"""Degrades a file or a folder of images by a recipe, or shows what the recipe does to them."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from realciao.cli import Parser, command, natural
from realciao.commands.extract_noise import add_options, extract_noise
from realciao.errors import UserError
from realciao.files import check_folder


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="degrade.py",
        description="Writes STEM.png, the degraded image, and STEM.json, the plan that made it, for every image; the "
        "folders of the input are mirrored. --gallery, --stats and --match show what a recipe does instead.",
    )
    add = parser.add_argument
    add("-i", "--input", type=Path, required=True, help="an image, or a folder of images")
    add("-o", "--output", type=Path, required=True, help="folder for the results")
    add("--pipeline", default="realesrgan", help="name of a recipe, or a .yml file (default: %(default)s)")
    add(
        "--scale",
        type=_scale,
        nargs="+",
        default=[4.0],
        help="how many times smaller the results are; --stats takes several (default: 4)",
    )
    add("--seed", type=_seed, default=0, help="same seed and same files, same results (default: %(default)s)")
    add(
        "--replay",
        type=Path,
        metavar="PLAN.json",
        help="do what this plan says; pipeline, scale and seed then are unused",
    )
    add("--overwrite", action="store_true", help="replace results that are already there")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--gallery",
        action="store_true",
        help="write gallery.html and gallery.png instead: every image step by step, and each step in words",
    )
    mode.add_argument(
        "--stats",
        action="store_true",
        help="write stats.json and stats.png instead: how blurred, noisy and compressed the results are, and at several "
        "scales severity.png",
    )
    mode.add_argument(
        "--match",
        type=Path,
        metavar="PHOTOS",
        help="write match.json and match.png instead: noise, blur and blocks of these real photos beside those of the "
        "results, and the ranges that would make them alike",
    )
    add(
        "--draws",
        type=natural,
        help="plans for each image in --stats and --match (default: as many as give 200 results)",
    )
    add_options(parser)
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    check_folder(args.output)
    if args.extract_noise:
        if args.gallery or args.stats or args.match or args.replay or args.draws:
            raise UserError(
                "--extract_noise: degrades nothing; leave out --gallery, --stats, --match, --replay and --draws"
            )
        return extract_noise(args)
    if len(args.scale) > 1 and not args.stats:
        raise UserError("--scale: give one; several are for --stats")
    if args.replay and (args.stats or args.match):
        raise UserError("--replay: one plan has no statistics; leave it out, or --stats and --match")
    if args.draws and not (args.stats or args.match):
        raise UserError("--draws: is for --stats and --match")
    if args.gallery:
        from realciao.commands.degrade_gallery import run
    elif args.stats:
        from realciao.commands.degrade_stats import run
    elif args.match:
        from realciao.commands.degrade_match import run
    else:
        from realciao.commands.degrade_pairs import run
    return run(args)


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
