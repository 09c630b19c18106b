"""The commands: each module parses its arguments at once, imports what is heavy after that, and makes one call."""

import argparse
import functools
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from realciao.errors import UserError


class Parser(argparse.ArgumentParser):
    """argparse, with the package's one line for what is wrong."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the options)")


Main = Callable[[Sequence[str] | None], int]


def command(main: Main) -> Callable[..., NoReturn]:
    """Wraps a `main(argv) -> exit status`: a UserError becomes one line on standard error and exit status 2; Ctrl-C is 130."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(
                stream, io.TextIOWrapper
            ):  # a name or a sign that the terminal cannot show is no reason to fail
                stream.reconfigure(errors="backslashreplace")
        try:
            status = main(argv)
        except UserError as error:
            # an error that a loader's worker met arrives with the worker's traceback before it
            print(f"error: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
            status = 2
        except BrokenPipeError:  # whoever read the output has gone; the interpreter must not try to flush it either
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            status = 1
        except (OSError, MemoryError) as error:
            print(f"error: {' '.join(str(error).split()) or 'out of memory'}", file=sys.stderr)
            status = 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            status = 130
        sys.exit(status)

    return run
