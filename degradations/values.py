"""The values that a recipe's keys may have, checked when the recipe is built and drawn when a plan is.

Wherever a range `[low, high]` is asked for, a single number stands for `[number, number]`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from degradations.errors import RecipeError, suggest

RangeSpec = int | float | Sequence[int | float]


@dataclass(frozen=True)
class Range:
    """An interval from which numbers are drawn uniformly."""

    low: float
    high: float

    @classmethod
    def parse(cls, key: str, value: Any, at_least: float = -math.inf, at_most: float = math.inf) -> "Range":
        """Reads a number or `[low, high]`; raises RecipeError at `key`."""
        ends = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value, value]
        if len(ends) != 2:
            raise RecipeError(key, f"expected a number or [low, high], got {value!r}")
        low, high = (number(key, end, at_least, at_most) for end in ends)
        if low > high:
            raise RecipeError(key, f"low {low:g} is above high {high:g}; write [low, high]")
        return cls(low, high)

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(self.low, self.high))

    def draw_log(self, rng: np.random.Generator) -> float:
        """Draws the logarithm uniformly; for ranges of positive numbers."""
        return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))


@dataclass(frozen=True)
class IntRange:
    """The integers low, low + step, ..., high, drawn with equal chances."""

    low: int
    high: int
    step: int = 1

    @classmethod
    def parse(cls, key: str, value: Any, at_least: int, at_most: int, odd: bool = False) -> "IntRange":
        """Reads an integer or `[low, high]`, both odd where asked; raises RecipeError at `key`."""
        ends = Range.parse(key, value, at_least, at_most)
        low, high = int(ends.low), int(ends.high)
        if (low, high) != (ends.low, ends.high) or (odd and not (low % 2 and high % 2)):
            raise RecipeError(key, f"expected {'odd numbers' if odd else 'whole numbers'}, got {value!r}")
        return cls(low, high, 2 if odd else 1)

    def draw(self, rng: np.random.Generator) -> int:
        return self.low + self.step * int(rng.integers((self.high - self.low) // self.step + 1))


def number(key: str, value: Any, at_least: float = -math.inf, at_most: float = math.inf) -> float:
    """A finite number within the bounds; raises RecipeError at `key`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RecipeError(key, f"expected a number, got {value!r}")
    if not at_least <= value <= at_most:
        bounds = f"at least {at_least:g}" if at_most == math.inf else f"in [{at_least:g}, {at_most:g}]"
        raise RecipeError(key, f"must be {bounds}, got {value!r}")
    return float(value)


def probability(key: str, value: Any) -> float:
    """A number in [0, 1]; raises RecipeError at `key`."""
    return number(key, value, 0, 1)


def flag(key: str, value: Any) -> bool:
    """true or false; raises RecipeError at `key`."""
    if not isinstance(value, bool):
        raise RecipeError(key, f"expected true or false, got {value!r}")
    return value


def names(key: str, value: Any, known: Sequence[str]) -> tuple[str, ...]:
    """One of the known names, or a list of some of them; raises RecipeError at `key`."""
    chosen = [value] if isinstance(value, str) else value
    if not isinstance(chosen, Sequence) or not chosen:
        raise RecipeError(key, f"expected a name or a list of names, got {value!r}")
    for name in chosen:
        if name not in known:
            raise RecipeError(key, f"unknown {key} {name!r}{suggest(name, known)}")
    return tuple(chosen)


def draw_seed(rng: np.random.Generator) -> int:
    """A seed for a noise field; below 2**53, so that any JSON reader keeps it whole."""
    return int(rng.integers(2**53))


def happens(rng: np.random.Generator, prob: float) -> bool:
    """True with probability `prob`."""
    return bool(rng.random() < prob)
