"""From a tree of images to a tree of results: what is read, where its result goes, and whether it may."""

import glob
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from realciao.errors import UserError
from realciao.images.paths import list_images


class Job(NamedTuple):
    """An input file and the file of its result."""

    source: Path
    target: Path


def expand(inputs: Iterable[str]) -> list[Path]:
    """The files and folders that are named, patterns (`*`, `**`, `?`, `[...]`) replaced by what fits them.

    Raises:
        UserError: an empty name, or a pattern that nothing fits.
    """
    paths: list[Path] = []
    for text in inputs:
        if not text:
            raise UserError("-i '': no name of a file or folder")
        found = [text] if os.path.lexists(text) or not glob.has_magic(text) else sorted(glob.glob(text, recursive=True))
        if not found:
            raise UserError(f"-i '{text}': nothing fits this pattern")
        paths += map(Path, found)
    return paths


def mirror(sources: Path | Iterable[Path], folder: Path, rename: Callable[[Path], str]) -> list[Job]:
    """Every image of the sources, files or folders that are searched in depth, with its result in the same tree below `folder`.

    Where `folder` lies below a source, the results that an earlier run left there are no inputs.

    Args:
        rename: the file name of an input's result.

    Raises:
        UserError: nothing to read, `folder` is a file, two inputs with one result, or a result in the place of an input or of a
            folder.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: the output is a file, not a folder")
    jobs: dict[str, Job] = {}
    for source in dict.fromkeys([sources] if isinstance(sources, Path) else sources):
        root = source if source.is_dir() else source.parent
        for path in _inputs(source, folder):
            job = Job(path, folder / path.relative_to(root).with_name(rename(path)))
            first = jobs.setdefault(_identity(job.target), job)
            if _identity(first.source) != _identity(job.source):
                raise UserError(
                    f"{first.source} and {path} would both be written to {job.target}; rename one of the two"
                )
    for job in jobs.values():
        if job.target.is_dir():  # found out when the result is there, the work would be lost
            raise UserError(f"{job.target}: is a folder, and the result's name; move it, or give another one with -o")
        if _identity(job.source) in jobs:
            target = jobs[_identity(job.source)].target
            raise UserError(f"{target}: the result would replace an input; give another folder with -o")
    return list(jobs.values())


def refuse_existing(targets: Iterable[Path]) -> None:
    """Raises a UserError where something is already there, be it a broken link."""
    existing = [target for target in targets if os.path.lexists(target)]
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UserError(f"{existing[0]} exists{more}; give --overwrite, or another folder with -o")


def _inputs(source: Path, folder: Path) -> list[Path]:
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if not source.is_dir():
        return [source]
    found = list_images(source)
    results = _real(folder)
    if _real(source) not in results.parents:
        return found
    found = [path for path in found if not _real(path).is_relative_to(results)]
    if not found:
        raise UserError(f"{source}: holds no image but those in the output folder {folder}")
    return found


def _identity(path: Path) -> str:
    """The same for two names of one file, links followed and, where the system does, case ignored."""
    return os.path.normcase(_real(path))


def _real(path: Path) -> Path:
    """The path without links; one that leads back to itself stays, and fails when it is read."""
    return Path(os.path.realpath(path))
