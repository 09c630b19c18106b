"""What has been computed, by content: a record for every (method, image, scale), with its scores by metric.

A record is a small JSON file that appears whole or not at all, so that a run may be stopped anywhere and goes on where it was.
"""

import hashlib
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from realciao.errors import UserError
from realciao.files import atomic_write

FORMAT = 1


def digest(*parts: str) -> str:
    """A key that is another if any of the parts is."""
    return hashlib.sha256("\0".join([str(FORMAT), *parts]).encode()).hexdigest()[:32]


class Store:
    """Records below a folder, and locks by which processes share the work.

    Args:
        folder: made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, key: str) -> dict[str, Any]:
        """The record, {} where there is none or a damaged one."""
        try:
            record = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def write(self, key: str, record: dict[str, Any]) -> None:
        """Replaces the record."""
        atomic_write(self._path(key), json.dumps(record, indent=1, sort_keys=True) + "\n")

    def lock(self, key: str, wait: bool) -> AbstractContextManager[Any] | None:
        """Holds the record for this process while it is entered; None where another holds it and `wait` is false.

        The system frees it when a process ends, however that comes.
        """
        path = self.folder / "locks" / f"{key}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return FileLock(path).acquire(timeout=-1 if wait else 0)
        except Timeout:
            return None
        except OSError as error:
            raise UserError(f"{path}: cannot be made ({error.strerror or error})") from error

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def to_text(value: float) -> str:
    """A score for a record, exact; JSON has no infinity."""
    return repr(float(value))
