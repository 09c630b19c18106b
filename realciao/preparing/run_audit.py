"""A look at the data of a run before it begins: some of the files, decoded; the whole is `scripts/prepare_data.py check`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from realciao.data import TrainSet, ValSet
from realciao.images.reading import ImageError, read_size
from realciao.preparing.audit import PROBLEMS, Facts, inspect
from realciao.preparing.check import compare_all

MOST_PIXELS = 400_000_000
"""Decoded of each kind: ten to twenty seconds of work."""
LEAST_FILES = 20
SAID = 3


def audit(train_sets: Sequence[TrainSet], val_sets: Mapping[str, ValSet]) -> str:
    """What some of the files of a run's data sets are like, and whether training ones are validated on, in lines."""
    train = _look(list(dict.fromkeys(path for data in train_sets for path in data.targets)))
    val = _look(list(dict.fromkeys(path for data in val_sets.values() for path in data.targets)))
    lines = [_describe("training", train[1], train[0]), _describe("validation", val[1], val[0])]
    report = compare_all([], train[1], val[1])
    for name, pairs in (("show the same", report.duplicates), ("is validated on", report.leaks)):
        for pair in pairs[:SAID]:
            lines.append(f"  {pair.first} and {pair.second}: {name}")
        if len(pairs) > SAID:
            lines.append(f"  and {len(pairs) - SAID} more pairs like these")
    looked = len(train[1]) + len(val[1])
    if looked < train[0] + val[0]:
        lines.append("  scripts/prepare_data.py check TRAIN --test VAL looks at them all")
    return "\n".join(lines)


def _look(paths: list[Path]) -> tuple[int, list[Facts]]:
    """How many files there are, and the facts of some, spread over them."""
    some = _spread(paths, LEAST_FILES)
    pixels = max(1, sum(_pixels(path) for path in some))
    chosen = _spread(paths, max(LEAST_FILES, MOST_PIXELS * len(some) // pixels))
    return len(paths), [inspect(path) for path in chosen]


def _spread(paths: list[Path], count: int) -> list[Path]:
    count = min(len(paths), count)
    return [paths[index * len(paths) // count] for index in range(count)]


def _pixels(path: Path) -> int:
    try:
        height, width = read_size(path)
    except ImageError:  # the look itself will say so
        return 0
    return height * width


def _describe(name: str, facts: list[Facts], total: int) -> str:
    found = Counter(problem for one in facts for problem in one.problems)
    problems = ", ".join(f"{found[problem]} {problem}" for problem in PROBLEMS if found[problem]) or "nothing unusual"
    looked = f"{len(facts)} of {total}" if len(facts) < total else f"all {total}"
    return f"{name} files, {looked}: {problems}"
