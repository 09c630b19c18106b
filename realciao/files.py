"""Files that are either written whole or not at all."""

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from realciao.errors import UserError

if os.name == "posix":
    import fcntl

_TEMPORARY = re.compile(r"\.[0-9a-f]{12}\.tmp(\.\w+)?")


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what is written there takes the place of `path` when the block ends well.

    A reader, a crash or a full disk never sees half a file: the content is on the disk before the name is changed, and a block
    that fails leaves what was there before. The folder is made if missing.

    Raises:
        UserError: the file cannot be written; any OSError of the block counts as that.
    """
    path = Path(path)
    if not path.name:
        raise UserError(f"'{path}': no name of a file to write")
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _in_use(temporary):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):  # what went wrong before is what the user must hear
            temporary.unlink(missing_ok=True)


def remove_abandoned(folders: Iterable[Path]) -> None:
    """Removes the temporary files of `atomic_path` whose processes were killed; where the system has no locks, nothing."""
    for path in (path for folder in folders for path in folder.glob(".*.tmp*") if _TEMPORARY.fullmatch(path.name)):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            if _lock(file, wait=False):  # else whoever makes the file is alive
                path.unlink()


@contextlib.contextmanager
def _in_use(temporary: Path) -> Iterator[None]:
    """Keeps the file locked, so that `remove_abandoned` passes over it, in the block or for as long as this process lives."""
    if os.name != "posix":  # a file that is open could not be renamed
        yield
        return
    while True:
        with open(temporary, "ab") as file:
            _lock(file, wait=True)
            if os.fstat(file.fileno()).st_nlink:  # else it was taken for abandoned before it was locked
                yield
                return


def _lock(file: BinaryIO, wait: bool) -> bool:
    """Whether the file is locked now; the lock ends when it is closed."""
    if os.name == "posix":
        with contextlib.suppress(OSError):  # held by another process, or a network drive that knows no locks
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            return True
    return False


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yields a new folder beside `path`, which takes the place of `path` when the block ends well: see `atomic_path`.

    Raises:
        UserError: it cannot be written; any OSError of the block counts as that.
    """
    path = Path(path)
    temporary, former = (path.with_name(f".{uuid.uuid4().hex[:12]}.tmp") for _ in range(2))
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.iterdir():
            with open(file, "rb+") as content:
                os.fsync(content.fileno())
        _sync_folder(temporary)
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, former)
        os.rename(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if former.exists() and not path.exists():
            os.rename(former, path)
        for left in (temporary, former):
            shutil.rmtree(left, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Removes a folder; if that is cut short, what is left no longer has its name but a hidden one with `.tmp` at its end."""
    hidden = path.with_name(f".{uuid.uuid4().hex[:12]}.tmp")
    os.rename(path, hidden)
    shutil.rmtree(hidden)


def _sync_folder(folder: Path) -> None:
    """Puts the names in a folder on the disk, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def atomic_write(path: str | Path, data: bytes | str) -> None:
    """Writes a whole file, see `atomic_path`; text as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)


def check_folder(path: str | Path) -> None:
    """Looks whether files could be written below `path`, before much work is done for them; makes nothing.

    Raises:
        UserError: no.
    """
    there = next(parent for parent in [Path(path).absolute(), *Path(path).absolute().parents] if parent.exists())
    if not there.is_dir():
        raise UserError(f"{path}: cannot be made: {there} is a file")
    if not os.access(there, os.W_OK):
        raise UserError(f"{path}: cannot be written: no permission in {there}")
