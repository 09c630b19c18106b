"""Ranges of options."""

from realciao.errors import OptionError


def check_least(key: str, value: float | None, least: float) -> None:
    """Raises OptionError at `key` if a value that is given is below `least`."""
    if value is not None and value < least:
        raise OptionError(key, f"must be at least {least:g}, is {value:g}")
