"""Scores a folder of results, with or without ground truth."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from realciao.commands import Parser, command
from realciao.commands.progress_line import ProgressLine
from realciao.image_paths import list_images

if TYPE_CHECKING:
    from realciao.evaluation import Failure

FAILURES_SHOWN = 10


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = Parser(
        prog="evaluate.py",
        description="Scores every image of a folder and writes metrics.csv (a row per image), metrics.json (the means) "
        "and metrics.md (both, to read). Exit status 1: something could not be scored; it is named, the rest is there.",
    )
    add = parser.add_argument
    add("--sr", type=Path, required=True, metavar="FOLDER", help="the results, searched in depth")
    add("--gt", type=Path, metavar="FOLDER", help="their ground truths: same paths and sizes, any image extension")
    add(
        "--metrics",
        nargs="+",
        required=True,
        metavar="NAME",
        help="with --gt: psnr ssim (on RGB) psnr_y ssim_y (on Y); without: niqe brisque piqe",
    )
    add("--crop_border", type=int, metavar="N", help="pixels that psnr and ssim leave out at each edge (default: 0)")
    add(
        "--iqa_params",
        type=Path,
        metavar="FOLDER",
        help="where BRISQUE's allmodel and NIQE's .mat lie (default: what comes with the libraries, or is downloaded)",
    )
    add("-o", "--output", type=Path, metavar="FOLDER", help="default: results/NAME_OF_THE_SR_FOLDER")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; exit status 1 when something could not be scored, 2 when nothing was begun."""
    args = build_parser().parse_args(argv)
    output = args.output or Path("results", args.sr.resolve().name)

    from realciao.evaluation import evaluate
    from realciao.evaluation_report import check_folder, summary_table, write_report

    check_folder(output)
    with closing(ProgressLine(len(list_images(args.sr)))) as line:
        result = evaluate(
            args.sr,
            args.gt,
            args.metrics,
            args.crop_border,
            args.iqa_params,
            progress=lambda done, _total, name: line.show(done, name),
        )
    written = write_report(result, output)
    print(summary_table(result))
    for problem in result.unavailable.values():
        print(f"no such scores: {problem}", file=sys.stderr)
    _print_failures(result.failures)
    print("\n".join(str(path) for path in written))
    return 0 if result.complete else 1


def _print_failures(failures: Sequence["Failure"]) -> None:
    for failure in failures[:FAILURES_SHOWN]:
        print(f"not scored: {failure.image}: {failure.problem}", file=sys.stderr)
    if len(failures) > FAILURES_SHOWN:
        print(f"not scored: {len(failures) - FAILURES_SHOWN} more, listed in metrics.md", file=sys.stderr)
