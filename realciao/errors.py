"""Errors that are the user's to mend: a command prints their one line and exits non-zero, without a traceback."""

import difflib
import re
from collections.abc import Iterable
from typing import Any


class UserError(ValueError):
    """Something the user gave is wrong; the message is one line that says what, where, and how to mend it."""


class OptionError(UserError):
    """A wrong value in an option file.

    Args:
        path: dotted path of the key inside the file, "" for the whole file, e.g. "network_g.encoder.num_feat".
        problem: what is wrong and how to mend it, without the path.
        place: where that was written, "FILE:LINE" or "--set KEY=VALUE"; "" where it is not known.
    """

    def __init__(self, path: str, problem: str, place: str = "") -> None:
        super().__init__(": ".join(part for part in (place, path, problem) if part))
        self.path = path
        self.problem = problem
        self.place = place

    def below(self, parent: str) -> "OptionError":
        """The same error seen from one level up: its path starts at `parent`."""
        return OptionError(".".join(part for part in (parent, self.path) if part), self.problem, self.place)

    @classmethod
    def from_msgspec(cls, error: Exception, data: Any) -> "OptionError":
        """What msgspec.convert found wrong with `data`, in the words of YAML."""
        found, _, where = str(error).partition(" - at `$")
        path = re.findall(r"[^.\[\]`]+", where)
        if isinstance(error.__cause__, OptionError):  # raised by a structure's own check
            return error.__cause__.below(".".join(path))
        field = re.search(r"(unknown|missing required) field `(.*)`", found)
        if field:
            return cls(".".join([*path, field[2]]), "unknown key" if field[1] == "unknown" else "is missing")
        for key in path:
            data = data[int(key)] if isinstance(data, list | tuple) else data[key]
        if r"regex '^\\w" in found:  # that of names of files
            found = "expected letters, digits, spaces, . + - and _, the first of them a letter or a digit"
        expected = (
            found.partition(", got ")[0].replace("`object", "`mapping").replace("`array", "`list").replace("`", "")
        )
        return cls(
            ".".join(path), f"{expected[:1].lower()}{expected[1:]}, got {'null' if data is None else repr(data):.80}"
        )


def one_line(text: str) -> str:
    """With the signs that would break or move a line, as names of files may hold, written as Python escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """`; did you mean 'x'?` for the known name nearest to `name`, or "" when none is near."""
    near = difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
