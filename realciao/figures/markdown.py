"""Tables in Markdown."""

import math
from collections.abc import Sequence


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table, aligned so that it also reads well in a terminal."""
    rows = [[cell.replace("|", "\\|") for cell in line] for line in (header, *lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)


def number(value: float | None) -> str:
    """A score in a cell; `-` for one that does not exist (None or nan)."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"
