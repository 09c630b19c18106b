"""The values that a recipe's keys may have, checked when the recipe is built and drawn when a plan is.

Wherever a range `[low, high]` is asked for, a single number stands for `[number, number]`. Where a key takes a ScaleRange,
either end may depend on the scale s at hand: `[0, 2 + 0.2 s]`, `[0.5 s^-1, 1]`, `0.6 s`.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from degradations.errors import RecipeError, suggest

RangeSpec = int | float | Sequence[int | float]
ScaleRangeSpec = int | float | str | Sequence[int | float | str]

MAX_SCALE = 16.0
"""Up to here ranges grow; a larger scale counts as this one."""

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_IN_SCALE = re.compile(rf"(?:({_NUMBER})\s*\+\s*)?({_NUMBER})?\s*s(?:\s*\^\s*(-?(?:{_NUMBER})))?")


@dataclass(frozen=True)
class Range:
    """An interval from which numbers are drawn uniformly."""

    low: float
    high: float

    @classmethod
    def parse(cls, key: str, value: Any, at_least: float = -math.inf, at_most: float = math.inf) -> "Range":
        """Reads a number or `[low, high]`; raises RecipeError at `key`."""
        low, high = (number(key, end, at_least, at_most) for end in _two_ends(key, value))
        if low > high:
            raise RecipeError(key, f"low {low:g} is above high {high:g}; write [low, high]")
        return cls(low, high)

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(self.low, self.high))

    def draw_log(self, rng: np.random.Generator) -> float:
        """Draws the logarithm uniformly; for ranges of positive numbers."""
        return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))


@dataclass(frozen=True)
class InScale:
    """The number `constant + factor s^power`, s the scale."""

    constant: float
    factor: float = 0.0
    power: float = 1.0

    @classmethod
    def parse(cls, key: str, value: Any) -> "InScale":
        """Reads a number or a text such as `4 + s`, `0.6 s`, `2 + 0.2 s` or `0.5 s^-1`; raises RecipeError at `key`."""
        if not isinstance(value, str):
            return cls(number(key, value))
        match = _IN_SCALE.fullmatch(value.strip())
        if match is None:
            raise RecipeError(key, f"expected a number, or one in the scale s such as `2 + 0.2 s`, got {value!r}")
        constant, factor, power = match.groups()
        return cls(float(constant or 0), float(factor or 1), float(power or 1))

    def at(self, scale: float) -> float:
        return self.constant + self.factor * scale**self.power


@dataclass(frozen=True)
class ScaleRange:
    """An interval whose ends may depend on the scale; numbers are drawn from it uniformly."""

    low: InScale
    high: InScale

    @classmethod
    def parse(cls, key: str, value: Any, at_least: float = -math.inf, at_most: float = math.inf) -> "ScaleRange":
        """Reads one end or `[low, high]` and checks it for scales from 1 to MAX_SCALE; raises RecipeError at `key`."""
        parsed = cls(*(InScale.parse(key, end) for end in _two_ends(key, value)))
        for scale in np.linspace(1, MAX_SCALE, 31).tolist():
            try:
                Range.parse(key, [parsed.low.at(scale), parsed.high.at(scale)], at_least, at_most)
            except RecipeError as error:
                grows = parsed.low.factor or parsed.high.factor
                raise RecipeError(key, (f"at scale {scale:g}: " if grows else "") + error.problem) from error
        return parsed

    def draw(self, rng: np.random.Generator, scale: float) -> float:
        scale = min(max(scale, 1.0), MAX_SCALE)
        return Range(self.low.at(scale), self.high.at(scale)).draw(rng)


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


def _two_ends(key: str, value: Any) -> list[Any]:
    ends = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value, value]
    if len(ends) != 2:
        raise RecipeError(key, f"expected a number or [low, high], got {value!r}")
    return ends


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
