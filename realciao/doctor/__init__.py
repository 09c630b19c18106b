"""What may be wrong with an environment, each with its cure. Importing the package registers the checks in its files.

A check is a function without arguments that returns findings; one file holds what belongs together. Nothing is imported before
it is looked at, because what is looked for is often that it cannot be imported.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """What one look found."""

    name: str
    state: Literal["ok", "warn", "fail"]
    """fail: a command of ours will not work; warn: some will not, or slowly."""
    found: str
    cure: str = ""
    """What to do about it; "" where there is nothing to do."""


Check = Callable[[], Iterable[Finding]]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Registers a check under its function's name."""
    CHECKS[function.__name__] = function
    return function


def examine() -> Iterator[Finding]:
    """Runs the checks; one that fails itself is a finding too."""
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    for name in sorted(modules, key=lambda name: name != "packages"):  # first, because the others import them
        importlib.import_module(f"{__name__}.{name}")
    for name, look in CHECKS.items():
        try:
            yield from look()
        except Exception as error:  # whatever a broken environment leads to
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            yield Finding(name, "fail", f"{type(error).__name__}: {reason}", "see the findings above it first")
