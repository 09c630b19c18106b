"""Types of command line arguments that commands share."""

import argparse
from collections.abc import Callable


def at_least(smallest: int) -> Callable[[str], int]:
    """The type of a whole number of `smallest` or more."""

    def whole_number(text: str) -> int:
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"must be {smallest} or more, got {text}")
        return value

    return whole_number


natural = at_least(1)
