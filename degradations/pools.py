"""Pools: folders of the user's own files from which a step draws."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from degradations.errors import RecipeError


def pool_path(key: str, value: Any) -> Path:
    """The path of a file or a folder; raises RecipeError at `key` where it is none, before anything is looked up."""
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise RecipeError(key, f"expected a path, got {value!r}")
    return Path(value)


def pool_files(folder: Path, extensions: Sequence[str]) -> list[Path]:
    """The files in a folder and below it with one of these endings, in any case, sorted.

    Hidden files are left out: what other systems leave beside a file (`._a.png`), and what was being written when a run broke
    off.
    """
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in extensions)
