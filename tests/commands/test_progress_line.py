"""What a command says while it works, on a terminal and off it."""

import io

import pytest

from realciao.commands import progress_line
from realciao.commands.progress_line import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, as its one item."""
    now = [100.0]
    monkeypatch.setattr(progress_line.time, "monotonic", lambda: now[0])
    return now


def test_off_a_terminal_there_is_a_plain_line_now_and_then(clock: list[float], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stderr", stream := io.StringIO())
    line = ProgressLine(4)
    for done in range(1, 5):
        clock[0] += 6
        line.show(done, f"{done}.png")
    line.close()
    assert stream.getvalue() == "2/4 2.png, 0:00:12 left\n4/4 4.png, 0:00:00 left\n"


def test_on_a_terminal_one_line_is_renewed_and_wiped_at_the_end(clock: list[float], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stderr", stream := Terminal())
    line = ProgressLine(2)
    line.show(0.1, "too soon")
    clock[0] += 30
    line.show(0.5, "a.png: 50%")
    line.close()
    assert stream.getvalue() == "\r\033[K1/2 a.png: 50%, 0:01:30 left\r\033[K"
