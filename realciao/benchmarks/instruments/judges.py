"""The plain formulas, which live with the tests and not in the package."""

import importlib
import sys
from pathlib import Path
from typing import Any

from realciao.errors import UserError
from realciao.machine.description import REPOSITORY


def plain(name: str, folder: Path = REPOSITORY / "tests") -> Any:
    """The module `plain_NAME` of the tests.

    Raises:
        UserError: there is none, as in an installed package.
    """
    if not (folder / f"plain_{name}.py").is_file():
        raise UserError(
            f"{folder / f'plain_{name}.py'}: is missing; benchmarks compare with the plain formulas of the tests, so "
            "they run in a checkout of the repository alone"
        )
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return importlib.import_module(f"plain_{name}")
