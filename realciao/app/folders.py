"""The app's temporary folder: nobody else's, locked while the app lives, and cleared away after one that was killed."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "realciao-app-"
_LOCK = "alive.lock"
_YOUNG_S = 60
"""A folder without a lock that was just made belongs to an app that is starting."""


@contextlib.contextmanager
def app_folder() -> Iterator[Path]:
    """A new folder, readable by this user alone, gone when the block ends; those that killed apps left go first."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    with FileLock(folder / _LOCK):  # the system lets go of it however this process ends
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep() -> list[Path]:
    """Removes the folders of apps of this user that no longer live; returns them."""
    gone = []
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, Timeout):
            status = folder.lstat()
            if folder.is_symlink() or not folder.is_dir() or (os.name == "posix" and status.st_uid != os.getuid()):
                continue
            if not (folder / _LOCK).exists() and time.time() - status.st_mtime < _YOUNG_S:
                continue
            with FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
                gone.append(folder)
    return gone
