"""Scores a folder of results, with or without ground truth; or methods x data sets x scales, as an option file says."""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from realciao.cli import Parser, command
from realciao.commands.progress_line import ProgressLine
from realciao.errors import UserError
from realciao.files import check_folder
from realciao.images.paths import list_images

if TYPE_CHECKING:
    from realciao.evaluation.folder import Failure

FAILURES_SHOWN = 10
VERDICTS_SHOWN = 20


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = Parser(
        prog="evaluate.py",
        description="Scores every image of a folder (--sr), or every method on every data set at every scale that an option "
        "file names (-opt), and writes metrics.csv (a row per image), metrics.json (the means) and metrics.md (both, to read); "
        "with -opt also metrics.tex and report.html. Exit status 1: something could not be scored; it is named, the rest is "
        "there.",
    )
    add = parser.add_argument
    add(
        "-opt",
        type=Path,
        metavar="FILE",
        help="an option file, e.g. options/paper/table9.yml; a run goes on where it was",
    )
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="change options, e.g. methods=[bicubic,FILE] scales=[2,3]",
    )
    add("--sr", type=Path, metavar="FOLDER", help="the results, searched in depth")
    add("--gt", type=Path, metavar="FOLDER", help="their ground truths: same paths and sizes, any image extension")
    add(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="with --gt: psnr ssim (on RGB) psnr_y ssim_y (on Y) lpips dists ...; without: niqe brisque piqe musiq ...; "
        "any metric of pyiqa's by its name there",
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
    if args.opt:
        if args.sr or args.gt or args.metrics or args.output or args.crop_border is not None or args.iqa_params:
            raise UserError("-opt goes alone: the file says it all; --set KEY=VALUE changes it")
        return run_grid(args.opt, args.set)
    if not args.sr or not args.metrics:
        raise UserError("give -opt FILE, or --sr FOLDER and --metrics NAME ... (--help lists the options)")
    if args.set:
        raise UserError("--set changes an option file: name it by -opt")
    output = args.output or Path("results", args.sr.resolve().name)

    from realciao.evaluation.folder import evaluate
    from realciao.evaluation.folder_report import summary_table, write_report

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


def run_grid(file: Path, overrides: Sequence[str]) -> int:
    """Runs an option file; only the first of several processes reports."""
    began = time.perf_counter()

    from realciao.evaluation.grid.cells import make_cells, verdicts
    from realciao.evaluation.grid.costs import measure_costs
    from realciao.evaluation.grid.crops import places_by_hand
    from realciao.evaluation.grid.options import load_grid_options
    from realciao.evaluation.grid.report import write_grid_report
    from realciao.evaluation.grid.runner import Runner
    from realciao.evaluation.grid.tables import terminal_tables

    options, tree = load_grid_options(file, overrides)
    check_folder(options.folder)
    runner = Runner(options, tree)
    places_by_hand(runner.results)  # a wrong one is told before the work
    line = ProgressLine(0)

    def show(done: int, total: int, text: str) -> None:
        line.total = total
        line.show(done, text)

    with closing(line):
        results = runner.run(show)
    if results is None:
        return 0
    costs = measure_costs(options, results.methods, runner.store)
    written = write_grid_report(results, costs)
    cells = make_cells(results)
    print(terminal_tables(results, cells, costs))
    for what, problem, allowed in results.unavailable:
        print(f"{'left out' if allowed else 'missing'}: {what}: {problem}", file=sys.stderr)
    _print_failures(results.failures)
    print("\n".join(str(path) for path in written if path.suffix != ".png"))
    spent = ", ".join(f"{name} x{scale:g} {took:.0f} s" for (name, scale), took in results.seconds.items())
    if spent:
        print(f"upscaling took: {spent}")
    print(f"{sum(map(len, results.rows.values()))} results scored in {time.perf_counter() - began:.0f} s")
    for sentence in verdicts(results, cells)[:VERDICTS_SHOWN]:  # the answer, where the eye is
        print(sentence)
    return 0 if results.complete else 1


def _print_failures(failures: Sequence["Failure"]) -> None:
    for failure in failures[:FAILURES_SHOWN]:
        print(f"not scored: {failure.image}: {failure.problem}", file=sys.stderr)
    if len(failures) > FAILURES_SHOWN:
        print(f"not scored: {len(failures) - FAILURES_SHOWN} more, listed in metrics.md", file=sys.stderr)
