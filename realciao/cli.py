"""What all commands share: the parser, the one line for what is wrong, and types of arguments."""

import argparse
import errno
import functools
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, TextIO

from realciao.errors import UserError, one_line


class Parser(argparse.ArgumentParser):
    """argparse, with the package's one line for what is wrong."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the options)")


Main = Callable[[Sequence[str] | None], int]


def command(main: Main) -> Callable[..., NoReturn]:
    """Wraps a `main(argv) -> exit status`: a UserError becomes one line on standard error and exit status 2; Ctrl-C is 130."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> NoReturn:
        sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()  # None where the caller closed them
        for stream in (sys.stdout, sys.stderr):
            if isinstance(
                stream, io.TextIOWrapper
            ):  # a name or a sign that the terminal cannot show is no reason to fail
                stream.reconfigure(errors="backslashreplace")
        try:
            status = main(argv)
            sys.stdout.flush()
        except UserError as error:
            text = str(error).strip()
            # an error that a loader's worker met arrives with the worker's traceback before it
            text = text.splitlines()[-1] if text.startswith("Caught ") else text
            print(f"error: {one_line(text)}", file=sys.stderr)
            status = 2
        except BrokenPipeError:  # whoever read the output has gone
            sys.stdout = _nowhere()  # the interpreter must not try to flush it either
            status = 1
        except (OSError, MemoryError) as error:
            print(f"error: {_place(error)}{' '.join(str(error).split()) or 'out of memory'}", file=sys.stderr)
            status = 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            status = 130
        sys.exit(status)

    return run


def _place(error: Exception) -> str:
    """Where a disk was full: files of ours say their names themselves."""
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC and not error.filename
    return "standard output: " if full else ""


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def at_least(smallest: int) -> Callable[[str], int]:
    """The type of a whole number of `smallest` or more."""

    def whole_number(text: str) -> int:
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"must be {smallest} or more, got {text}")
        return value

    return whole_number


natural = at_least(1)
