"""What a run over many images has done, so that another can go on: a line of JSON an image, beside the results' folder."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from realciao.commands.jobs import Job
from realciao.errors import UserError


class Journal:
    """Of one folder of results.

    Args:
        folder: of the results.
        request: what the results depend on beside their sources.
        resume: take what is written there for done.
    """

    def __init__(self, folder: Path, request: dict[str, Any], resume: bool) -> None:
        place = Path(os.path.abspath(folder))  # `..` has no name of its own
        self.path = place.parent / f"{place.name}.journal.jsonl"
        self.folder = folder
        self.request = json.loads(json.dumps(request))
        self.lines = _read(self.path) if resume else {}
        self.separator = "\n"  # once: the last line there may break off
        self.told = False

    def knows(self, job: Job) -> bool:
        """Whether an earlier run made this result, or was about to; be it from other options."""
        return self._key(job) in self.lines

    def has_done(self, job: Job) -> bool:
        """Whether an earlier run made this result, from the same file with the same options, and it is still there."""
        return job.target.is_file() and self.lines.get(self._key(job)) == self._line(job)

    def begin(self, job: Job) -> None:
        """Notes that a result will be there, so that another run knows it for ours even if this one is killed before `add`."""
        self._write({"result": self._key(job), "begun": True})

    def add(self, job: Job) -> None:
        """Notes a result that is there now."""
        self._write({"result": self._key(job), **self._line(job)})

    def _write(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry) + "\n"
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(self.separator + line)
                self.separator = ""
        except PermissionError as error:  # the result is what counts
            if not self.told:
                print(f"note: {self.path}: {error.strerror}, so --resume will not know what is done", file=sys.stderr)
            self.told = True
        except OSError:
            pass

    def _key(self, job: Job) -> str:
        return str(job.target.relative_to(self.folder))  # JSON escapes what is no Unicode in it

    def _line(self, job: Job) -> dict[str, Any]:
        try:
            stat = job.source.stat()
        except OSError:
            return {}
        return {"source": [str(job.source.resolve()), stat.st_size, stat.st_mtime_ns], "request": self.request}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """By result, the last line wins; a line that breaks off, as a kill may leave one, is none."""
    lines: dict[str, dict[str, Any]] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            lines[entry.pop("result")] = entry
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            continue
    return lines
