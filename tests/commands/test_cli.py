"""What wraps every command: its one line, its exit status, and streams that are closed or full."""

import errno
import io
import sys
from collections.abc import Sequence

import pytest
from exit_status import exit_status

from realciao.cli import command
from realciao.errors import UserError


class Full(io.StringIO):
    """A disk with no room left."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def _fails(error: Exception) -> int:
    @command
    def main(argv: Sequence[str] | None) -> int:
        raise error

    return exit_status(main)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("two\nlines.png: no such file"), "two\\nlines.png: no such file"),
        (
            UserError("Caught UserError in worker 0.\nTraceback:\n  File x\nUserError: x.png: bad"),
            "UserError: x.png: bad",
        ),
        (OSError(errno.EIO, "Input/output error", "a.png"), "[Errno 5] Input/output error: 'a.png'"),
        (MemoryError(), "out of memory"),
    ],
)
def test_an_error_is_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _fails(error) == 2
    assert capsys.readouterr().err == f"error: {line}\n"


def test_closed_streams_are_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    @command
    def main(argv: Sequence[str] | None) -> int:
        print("done")
        print("note", file=sys.stderr)
        return int(sys.stderr.isatty())

    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert exit_status(main) == 0


def test_a_full_disk_behind_standard_output_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    assert exit_status(command(lambda argv: 0)) == 2
    assert capsys.readouterr().err == "error: standard output: [Errno 28] No space left on device\n"
