"""What a report is made of, read from the files of a run."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from realciao.machine.description import describe
from realciao.options.run import Options
from realciao.training.report.previews import Sheet, find_sheets
from realciao.training.run_folder import RunFolder

MOST_STEPS = 5
"""Pictures in a row of a contact sheet, which bounds the size of the file."""
MOST_WARNINGS = 40
NO_METRICS = {"step", "stage", "val"}

Points = list[tuple[int, float]]
"""(step, value)."""


class StageSpan(NamedTuple):
    """A stage, and the steps of the run that it takes: first to last, counted from 0."""

    name: str
    first: int
    last: int


class RunData(NamedTuple):
    """All that a report shows."""

    name: str
    stages: list[StageSpan]
    train: dict[str, Points]
    """By key of metrics.jsonl."""
    val: dict[str, dict[str, Points]]
    """By set, then by metric; `NAME_bicubic` is bicubic's."""
    sheets: list[Sheet]
    warnings: list[str]
    options: str
    """The option file, with every default."""
    machine: dict[str, str | int]

    @property
    def step(self) -> int:
        """The last step of which anything is known."""
        series = [*self.train.values(), *(points for val in self.val.values() for points in val.values())]
        return max((points[-1][0] for points in series if points), default=0)

    @property
    def total(self) -> int:
        return self.stages[-1].last


def read_run(options: Options, run: RunFolder) -> RunData:
    """Reads a run's folder; files that are not there yet are empty."""
    stages, first = [], 0
    for stage in options.stages:
        stages.append(StageSpan(stage.name, first, first + stage.total_iter))
        first += stage.total_iter
    rows = list(_rows(run.metrics_file))
    val: dict[str, dict[str, Points]] = {}
    for name in dict.fromkeys(row["val"] for row in rows if "val" in row):
        val[name] = _series(row for row in rows if row.get("val") == name)
    train = _series(row for row in rows if "val" not in row)
    data = RunData(options.name, stages, train, val, [], _warnings(run.log_file), _read(run.options_file), describe())
    return data._replace(sheets=find_sheets(run.previews, data.step, MOST_STEPS))


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    for line in _read(path).splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # half a line, as a crash leaves it
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            yield row


def _series(rows: Iterable[Mapping[str, Any]]) -> dict[str, Points]:
    series: dict[str, Points] = {}
    for row in rows:
        for key, value in row.items():
            if key not in NO_METRICS and isinstance(value, int | float):
                series.setdefault(key, []).append((row["step"], float(value)))
    return series


def _warnings(path: Path) -> list[str]:
    """What the log says as a warning or an error, each once, the latest last."""
    found = re.findall(r"^\S+ \S+ (?:WARNING|ERROR) (.*)$", _read(path), re.MULTILINE)
    return list(dict.fromkeys(found))[-MOST_WARNINGS:]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
