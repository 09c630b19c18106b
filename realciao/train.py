"""Trains: `python realciao/train.py -opt options/NAME.yml`, or the same behind `accelerate launch`."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # run as a script: import from the repository root, not from realciao/
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from realciao.cli import Parser, command

if TYPE_CHECKING:
    from realciao.training.trainer import Trainer


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="train.py", description="Train through the stages of an option file.")
    parser.add_argument(
        "-opt", "--opt", nargs="+", required=True, metavar="YML", help="option file; of several, later ones override"
    )
    example = "e.g. stages.0.total_iter=20"
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=example)
    parser.add_argument(
        "--dry_run", action="store_true", help="try each stage, say what it will take, write nothing, and stop"
    )
    if_there = parser.add_mutually_exclusive_group()
    if_there.add_argument("--auto_resume", action="store_true", help="go on from the run's last checkpoint, if any")
    if_there.add_argument("--overwrite", action="store_true", help="start again, removing the run of that name")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    from realciao.errors import OptionError
    from realciao.options.run import load_options

    options = load_options(arguments.opt, arguments.set)
    from realciao.training.interruption import Interrupted
    from realciao.training.trainer import Trainer  # takes seconds, and a wrong option is told at once

    try:
        trainer = Trainer(options, auto_resume=arguments.auto_resume, overwrite=arguments.overwrite)
        if arguments.dry_run:
            _estimate(trainer)
            print(f"{options.name}: one step of each of {len(options.stages)} stages went well; nothing was written")
        else:
            trainer.fit()
    except OptionError as error:
        place = error.place or options.locate(error.path).removesuffix(": ")
        raise OptionError(error.path, error.problem, place) from error
    except Interrupted as interrupted:
        again = shlex.join(["python", "realciao/train.py", *(sys.argv[1:] if argv is None else argv)])
        again = "the same launch and" if "WORLD_SIZE" in os.environ else again.replace(" --overwrite", "")
        if os.environ.get("RANK", "0") == "0":
            print(f"{interrupted}; go on with: {again} --auto_resume", file=sys.stderr)
        return interrupted.status
    return 0


def _estimate(trainer: "Trainer") -> None:
    """Prints what the data are like and what the run will take."""
    from realciao.preparing.run_audit import audit
    from realciao.training.engine import lost_process_in_one_line
    from realciao.training.estimate import describe_costs, measure_stage
    from realciao.training.stage_run import StageRun

    options, accelerator = trainer.options, trainer.accelerator
    stages = range(len(options.stages))
    said = audit([StageRun(options, index).dataset for index in stages], trainer.val_sets)
    val_sets = list(trainer.val_sets.values())
    with lost_process_in_one_line(lambda: "dry run"):
        costs = [
            measure_stage(
                options, index, accelerator, trainer.pretrained if index == 0 else None, val_sets, trainer.metrics
            )
            for index in stages
        ]
    if accelerator.is_main_process:
        print(f"{said}\n\n{describe_costs(options, costs, accelerator.device)}\n")


if __name__ == "__main__":
    main()
