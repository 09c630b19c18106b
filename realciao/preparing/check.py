"""Data sets looked through: every file audited, duplicates within and leaks between training and test found."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from realciao.figures.markdown import table
from realciao.preparing.audit import PROBLEMS, Facts, inspect
from realciao.preparing.fingerprints import Thumbnail, find_matches
from realciao.preparing.layouts import Finding

SHOWN = 5
"""Examples in the Markdown; the JSON names all."""


class Twins(NamedTuple):
    """Two files that show the same; `exact` if to the last byte."""

    first: Path
    second: Path
    correlation: float
    exact: bool


class Report(NamedTuple):
    """What was found."""

    layouts: list[Finding]
    train: list[Facts]
    test: list[Facts]
    duplicates: list[Twins]
    """Of training images."""
    leaks: list[Twins]
    """A training image, and the test image that it is."""

    @property
    def faults(self) -> int:
        """What spoils a training or its judgement: broken files, incomplete sets, duplicates and leaks."""
        corrupt = sum("corrupt" in facts.problems for facts in (*self.train, *self.test))
        return corrupt + sum(not found.complete for found in self.layouts) + len(self.duplicates) + len(self.leaks)


def look_through(
    paths: Sequence[Path], min_size: int, workers: int, done: Callable[[int, Path], None] = lambda count, path: None
) -> list[Facts]:
    """The facts of each file, in order; in processes of their own, or in this one with `workers` 0."""
    look = partial(inspect, min_size=min_size)
    facts: list[Facts] = []
    for one in _mapped(look, paths, workers):
        facts.append(one)
        done(len(facts), one.path)
    return facts


def compare_all(layouts: list[Finding], train: list[Facts], test: list[Facts]) -> Report:
    """Looks for duplicates among the training images and for leaks between the two."""
    return Report(layouts, train, test, _twins(train, None), _twins(train, test))


def to_json(report: Report) -> dict[str, Any]:
    """All that was found, as JSON values."""

    def files(facts: Iterable[Facts]) -> list[dict[str, Any]]:
        rows = [facts._asdict() | {"path": str(facts.path)} for facts in facts]
        return [{key: value for key, value in row.items() if key != "copy"} for row in rows]

    def twins(pairs: Iterable[Twins]) -> list[dict[str, Any]]:
        return [pair._asdict() | {"first": str(pair.first), "second": str(pair.second)} for pair in pairs]

    layouts = [{**found._asdict(), "folder": str(found.folder), "complete": found.complete} for found in report.layouts]
    return {
        "layouts": layouts,
        "train": files(report.train),
        "test": files(report.test),
        "duplicates": twins(report.duplicates),
        "leaks": twins(report.leaks),
    }


def to_markdown(report: Report) -> str:
    """The report for a person to read."""
    parts = ["# Data check"]
    if report.layouts:
        rows = [
            [found.name, str(found.found), str(found.expected), "complete" if found.complete else "INCOMPLETE"]
            for found in report.layouts
        ]
        parts += ["## Known data sets", table(["folder", "images", "expected", ""], rows)]
    for title, facts in (("Training images", report.train), ("Test images", report.test)):
        if facts:
            parts += [f"## {title}", _audit_table(facts)]
    for title, pairs in (("Duplicates in training", report.duplicates), ("Leaks from test to training", report.leaks)):
        if pairs:
            rows = [[str(p.first), str(p.second), "exact" if p.exact else f"{p.correlation:.4f}"] for p in pairs]
            more = [f"{len(rows) - 50} more in the JSON."] if len(rows) > 50 else []
            parts += [f"## {title}", table(["file", "shows the same as", "correlation"], rows[:50]), *more]
    parts.append(f"{len(report.duplicates)} duplicates, {len(report.leaks)} leaks, {report.faults} faults in all.")
    return "\n\n".join(parts) + "\n"


def _audit_table(facts: Sequence[Facts]) -> str:
    sides = sorted(min(one.size) for one in facts if one.copy is not None)
    rows = [["files", str(len(facts)), _sides(sides)]]
    for problem, meaning in PROBLEMS.items():
        named = [one for one in facts if problem in one.problems]
        examples = ", ".join(one.path.name for one in named[:SHOWN]) + (", ..." if len(named) > SHOWN else "")
        rows.append([problem, str(len(named)), f"{meaning}: {examples}" if named else "-"])
    return table(["", "count", "what it means"], rows)


def _sides(sides: list[int]) -> str:
    return f"shorter side {sides[0]} to {sides[-1]} px, half of them {sides[len(sides) // 2]} or more" if sides else "-"


def _twins(train: Sequence[Facts], test: Sequence[Facts] | None) -> list[Twins]:
    firsts = [one for one in train if one.copy is not None]
    seconds = firsts if test is None else [one for one in test if one.copy is not None]
    found = {
        (match.first, match.second): Twins(
            firsts[match.first].path, seconds[match.second].path, match.correlation, exact=False
        )
        for match in find_matches(_copies(firsts), None if test is None else _copies(seconds))
    }
    for first, second in _same_bytes(firsts, None if test is None else seconds):
        found[first, second] = Twins(firsts[first].path, seconds[second].path, 1.0, exact=True)
    return [found[key] for key in sorted(found)]


def _copies(facts: Sequence[Facts]) -> list[Thumbnail]:
    return [one.copy for one in facts if one.copy is not None]


def _same_bytes(firsts: Sequence[Facts], seconds: Sequence[Facts] | None) -> Iterator[tuple[int, int]]:
    by_digest = defaultdict(list)
    for index, one in enumerate(firsts):
        by_digest[one.digest].append(index)
    if seconds is None:
        for same in by_digest.values():
            yield from combinations(same, 2)
    else:
        yield from ((first, second) for second, one in enumerate(seconds) for first in by_digest.get(one.digest, ()))


def _mapped(look: Callable[[Path], Facts], paths: Sequence[Path], workers: int) -> Iterator[Facts]:
    if workers <= 0:
        yield from map(look, paths)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(look, paths, chunksize=4)
