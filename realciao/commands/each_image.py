"""One image after the other: one that fails is named, and the rest goes on."""

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from realciao.commands.progress_line import ProgressLine
from realciao.errors import UserError


def each_image(sources: Sequence[Path], work: Callable[[int, Path], None]) -> int:
    """Calls `work(running number, source)` for every source; a UserError becomes one line on standard error.

    Returns:
        How many failed.
    """
    failed = 0
    with closing(ProgressLine(len(sources))) as line:
        for number, source in enumerate(sources):
            try:
                work(number, source)
            except UserError as error:
                failed += 1
                line.close()
                print(f"error: {error}", file=sys.stderr, flush=True)
            else:
                line.show(number + 1, source.name)
    return failed
