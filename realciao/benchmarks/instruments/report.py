"""Tables of figures: as text for a person, as data for a program."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from realciao.figures.markdown import table

Figure = str | int | float | bool | None


@dataclass(frozen=True)
class Table:
    """Rows of figures by the names of their columns; all rows have the same."""

    part: str
    title: str
    rows: Sequence[dict[str, Figure]]
    note: str = ""

    def text(self) -> str:
        """The title, a Markdown table and the note."""
        if not self.rows:
            return f"### {self.title}\n\n(nothing)"
        lines = [[show(value) for value in row.values()] for row in self.rows]
        body = f"### {self.title}\n\n{table(list(self.rows[0]), lines)}"
        return f"{body}\n\n{self.note}" if self.note else body

    def data(self) -> dict[str, Any]:
        """The same, in full precision."""
        return {"part": self.part, "title": self.title, "rows": list(self.rows), "note": self.note}


def show(value: Figure) -> str:
    """A figure in a cell: three digits, whole numbers in full, `-` for what does not exist."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 99.95:
        return f"{value:,.0f}"
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
