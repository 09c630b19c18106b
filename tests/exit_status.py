"""A command as a shell sees it."""

from collections.abc import Callable, Sequence
from typing import NoReturn

import pytest


def exit_status(main: Callable[[Sequence[str]], NoReturn], *arguments: object) -> int:
    """Of a command's `main`, given its arguments as text."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code
