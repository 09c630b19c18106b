"""What is to be reached, beside what was."""

from collections.abc import Iterable
from typing import NamedTuple

from realciao.benchmarks.instruments.report import Figure


class Target(NamedTuple):
    """A bound for a figure of the rows that have these values."""

    where: dict[str, Figure]
    figure: str
    bound: float
    at_least: bool = True
    goal: float | None = None
    """What would be better still."""


def judge(targets: Iterable[Target], rows: Iterable[dict[str, Figure]]) -> list[dict[str, Figure]]:
    """The targets beside what was reached; those of which nothing was measured are left out."""
    rows = list(rows)
    return [
        {
            **{"where": " ".join(f"{key} {value}" for key, value in target.where.items())},
            "figure": target.figure,
            "reached": value,
            "asked": f"{'>=' if target.at_least else '<='} {target.bound:g}",
            "goal": target.goal,
            "met": value >= target.bound if target.at_least else value <= target.bound,
        }
        for target in targets
        for row in rows
        if target.where.items() <= row.items() and isinstance(value := row[target.figure], float)
    ]
