"""Images in an LMDB of BasicSR's layout: `NAME.lmdb/{data.mdb, lock.mdb, meta_info.txt}`.

An image there has the path `NAME.lmdb/KEY.png`, which no file has: what lists and reads images understands it.
"""

import os
from functools import lru_cache
from pathlib import Path

import lmdb

from realciao.errors import UserError

SUFFIX = ".lmdb"
META = "meta_info.txt"


def find_lmdb(path: Path) -> Path | None:
    """The LMDB that a path lies in, or is; None for an ordinary path."""
    return next((folder for folder in (path, *path.parents) if folder.suffix == SUFFIX and _is_lmdb(folder)), None)


def list_lmdb(folder: Path) -> list[Path]:
    """The paths of the images of an LMDB, sorted.

    Raises:
        UserError: its meta_info.txt cannot be read, or names nothing.
    """
    try:
        lines = (folder / META).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{folder / META}: cannot be read, and says what the LMDB holds ({error})") from error
    # BasicSR's keys end at the first dot of the name
    names = sorted(f"{line.split('.')[0]}.png" for line in lines if line.strip())
    if not names:
        raise UserError(f"{folder / META}: names no image")
    return [folder / name for name in names]


def read_lmdb(folder: Path, path: Path) -> bytes:
    """The bytes of an image file, as they were put there.

    Raises:
        UserError: the LMDB cannot be read, or has no such key.
    """
    key = path.relative_to(folder).as_posix().split(".")[0]
    try:
        with _open(folder, os.getpid()).begin() as transaction:
            data = transaction.get(key.encode())
    except lmdb.Error as error:
        raise UserError(f"{folder}: cannot be read as LMDB ({error})") from error
    if data is None:
        raise UserError(f"{folder}: {META} names '{key}', which the LMDB does not hold")
    return bytes(data)


@lru_cache(maxsize=256)
def _is_lmdb(folder: Path) -> bool:
    return (folder / "data.mdb").is_file()


@lru_cache(maxsize=16)
def _open(folder: Path, pid: int) -> lmdb.Environment:
    """Once a process: a forked worker must not go on with what its parent opened."""
    return lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False)
