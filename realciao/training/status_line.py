"""How a run stands, in one line: plain in files, live at the foot of a terminal."""

import os
import sys
import time
from typing import Any, NamedTuple

from realciao.training.progress import Progress

REFRESH_PER_S = 4


class Status(NamedTuple):
    """What is said of a run while it goes on."""

    stage: str
    step: int
    end: int
    """The stage's last step, counted over the run."""
    losses: dict[str, float]
    """Means since they were last said."""
    lr: float
    images_per_s: float
    data_share: float
    """Part of the time spent waiting for data, 0 to 1."""
    memory_gib: float
    eta: str
    """Time left of the stage, h:mm:ss."""

    def line(self) -> str:
        """`[psnr 120/700] l_g_pix 0.0521  lr 2.00e-03  14.1 images/s  data 3%  memory 0.9 GiB  eta 0:09:51`."""
        return f"[{self.stage} {self.step}/{self.end}] {self.numbers()}"

    def numbers(self) -> str:
        """The line without where the run is."""
        losses = [f"{name} {value:.4f}" for name, value in self.losses.items()]
        speed = [f"{self.images_per_s:.1f} images/s", f"data {100 * self.data_share:.0f}%"]
        return "  ".join([*losses, f"lr {self.lr:.2e}", *speed, f"memory {self.memory_gib:.1f} GiB", f"eta {self.eta}"])


def is_live(stream: Any) -> bool:
    """Whether a stream shows a line that is renewed: a terminal that is no CI's and not said to be dumb."""
    return bool(stream.isatty()) and "CI" not in os.environ and os.environ.get("TERM") != "dumb"


class StatusLine:
    """The foot of the terminal while it is entered; nothing where standard output is no terminal.

    What is printed meanwhile goes above it.

    Args:
        enabled: False for all processes but one.
    """

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled and is_live(sys.stdout)
        self._live: Any = None
        self._bar: Any = None
        self._said: tuple[Status, int] | None = None
        self._shown = 0.0

    def __enter__(self) -> "StatusLine":
        if self._enabled:
            from rich.live import Live
            from rich.progress_bar import ProgressBar

            self._bar = ProgressBar(width=24)
            self._live = Live(refresh_per_second=REFRESH_PER_S, transient=True)
            self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*error)
            self._live = None

    def show(self, status: Status, first_step: int) -> None:
        """Renews the line.

        Args:
            status: what to say; the losses may be those of some steps before.
            first_step: at which the stage began.
        """
        if self._live is None:
            return
        self._said, self._shown = (status, first_step), time.monotonic()
        from rich.table import Table
        from rich.text import Text

        self._bar.update(completed=status.step - first_step, total=status.end - first_step)
        row = Table.grid(padding=(0, 1))
        row.add_row(
            Text(status.stage, style="bold cyan"),
            self._bar,
            Text(f"{status.step}/{status.end}", style="bold"),
            Text(status.numbers(), overflow="ellipsis", no_wrap=True),
        )
        self._live.update(row)

    def advance(self, step: int, progress: Progress) -> None:
        """Says that a step is done, some times a second at most; losses and memory stay as they were last said."""
        if self._live is None or self._said is None or time.monotonic() - self._shown < 1 / REFRESH_PER_S:
            return
        status, first_step = self._said
        eta = progress.eta(status.end - step)
        self.show(status._replace(step=step, eta=eta, **progress.summary()), first_step)
