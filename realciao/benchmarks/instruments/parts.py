"""A benchmark of several parts, each a module with `cost(args) -> float` and `tables(args, done) -> Iterator[Table]`."""

import argparse
import importlib
from collections.abc import Callable, Iterator

from realciao.benchmarks.instruments.report import Table


def run_parts(package: str, args: argparse.Namespace, done: Callable[[float, str], None]) -> Iterator[Table]:
    """Measures the parts that `args.parts` names, modules of a package, one after the other.

    Args:
        done: is told how much of all their cost has been spent, 0 to 1, and on what.
    """
    parts = [importlib.import_module(f"{package}.{name}") for name in args.parts]
    total = sum(part.cost(args) for part in parts)
    spent = 0.0

    def count(cost: float, text: str) -> None:
        nonlocal spent
        spent += cost
        done(min(1.0, spent / total), text)

    for part in parts:
        yield from part.tables(args, count)
