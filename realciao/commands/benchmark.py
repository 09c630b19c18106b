"""Measures what is claimed: `benchmark.py decoder` and so on; see realciao/benchmarks."""

import argparse
import importlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from realciao import benchmarks
from realciao.cli import Parser, command
from realciao.commands.progress_line import ProgressLine
from realciao.files import atomic_write
from realciao.machine.allocator import keep_freed_memory


def build_parser() -> argparse.ArgumentParser:
    """The command's options, and those of each benchmark."""
    parser = Parser(prog="benchmark.py", description="Measures; prints tables, and how far it is on standard error.")
    subparsers = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    for name in benchmarks.names():
        benchmark = importlib.import_module(f"realciao.benchmarks.{name}")
        description = (benchmark.__doc__ or "").strip()
        one = subparsers.add_parser(name, help=description.partition("\n")[0], description=description)
        benchmark.add_arguments(one)
        one.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here, after every table")
        one.set_defaults(run=benchmark.run)
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Runs one benchmark."""
    args = build_parser().parse_args(argv)
    options = {name: value for name, value in vars(args).items() if name not in ("run", "json")}
    from realciao.machine.description import describe

    keep_freed_memory()  # as what is measured does where it is used

    result: dict[str, Any] = {"machine": describe(), "options": options, "tables": []}
    print(f"{_line(result['machine'])}\n{_line(options)}\n", flush=True)
    with closing(ProgressLine(100)) as line:
        for table in args.run(args, lambda share, text: line.show(100 * share, text)):
            line.close()
            print(f"{table.text()}\n", flush=True)
            result["tables"].append(table.data())
            if args.json:
                atomic_write(args.json, json.dumps(result, indent=1) + "\n")
    return 0


def _line(facts: Mapping[str, object]) -> str:
    texts = {name: " ".join(map(str, fact)) if isinstance(fact, list | tuple) else fact for name, fact in facts.items()}
    return "; ".join(f"{name}: {text}" for name, text in texts.items())
