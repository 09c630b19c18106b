"""Entries of a recipe that decide which steps a plan gets; the plan itself holds those steps only."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from degradations.errors import RecipeError
from degradations.registry import DEGRADATION_REGISTRY, Frame, Node, Params, build_nodes
from degradations.values import IntRange, RangeSpec, flag, probability

MAX_REPEATS = 16


@DEGRADATION_REGISTRY.register()
class Sequence(Node):
    """All of `steps`, one after the other."""

    def __init__(self, steps: Any) -> None:
        self.nodes = build_nodes("steps", steps)

    def draw(self, rng: np.random.Generator, frame: Frame) -> list[Params]:
        return _draw_all(self.nodes, rng, frame)


@DEGRADATION_REGISTRY.register()
class Shuffle(Node):
    """All of `steps` in a random order; those marked `in_order: true` keep their order among themselves.

    Every order that fulfils this is equally likely.
    """

    def __init__(self, steps: Any) -> None:
        self.nodes = build_nodes("steps", _without("in_order", steps))
        marks = [flag(f"steps.{i}.in_order", step.get("in_order", False)) for i, step in enumerate(steps)]
        self.in_order = [i for i, marked in enumerate(marks) if marked]
        if len(self.in_order) == 1:
            raise RecipeError(
                f"steps.{self.in_order[0]}.in_order", "is the only one; mark what it must not overtake too"
            )

    def draw(self, rng: np.random.Generator, frame: Frame) -> list[Params]:
        order = rng.permutation(len(self.nodes)).tolist()
        places = [place for place, i in enumerate(order) if i in self.in_order]
        for place, i in zip(places, self.in_order, strict=True):
            order[place] = i
        return _draw_all([self.nodes[i] for i in order], rng, frame)


@DEGRADATION_REGISTRY.register()
class Repeat(Sequence):
    """All of `steps`, one after the other, and that several times over, drawn anew each time.

    Args:
        times: whole number from 0 to 16, or [low, high].
    """

    def __init__(self, times: RangeSpec, steps: Any) -> None:
        super().__init__(steps)
        self.times = IntRange.parse("times", times, 0, MAX_REPEATS)

    def draw(self, rng: np.random.Generator, frame: Frame) -> list[Params]:
        return _draw_all(self.nodes * self.times.draw(rng), rng, frame)


@DEGRADATION_REGISTRY.register()
class Restart(Sequence):
    """All of `steps`, one after the other, as though the image at this point were the HR image.

    The scale `s` in the ranges of these steps is what then remains of it.
    """

    def draw(self, rng: np.random.Generator, frame: Frame) -> list[Params]:
        return super().draw(rng, replace(frame, hr_size=frame.size))


@DEGRADATION_REGISTRY.register()
class Choice(Node):
    """Exactly one of `options`; each is an entry with its `prob`, or none has one and all are equally likely."""

    def __init__(self, options: Any) -> None:
        self.nodes = build_nodes("options", _without("prob", options))
        self.bounds = np.cumsum(probabilities("options", options))

    def draw(self, rng: np.random.Generator, frame: Frame) -> list[Params]:
        chosen = int(np.searchsorted(self.bounds[:-1], rng.random(), side="right"))
        return self.nodes[chosen].draw(rng, frame)


def _draw_all(nodes: list[Node], rng: np.random.Generator, frame: Frame) -> list[Params]:
    plan: list[Params] = []
    for node in nodes:
        drawn = node.draw(rng, frame)
        frame = frame.after(drawn)
        plan += drawn
    return plan


def _without(key: str, entries: Any) -> Any:
    """The entries without a key that the control reads by itself; what is no list of entries is left to build_nodes."""
    if not isinstance(entries, list | tuple):
        return entries
    return [{k: v for k, v in e.items() if k != key} if isinstance(e, Mapping) else e for e in entries]


def probabilities(key: str, options: Any) -> list[float]:
    """Of the entries of the list under `key`, from the `prob` of each; all alike where none has one."""
    if not any("prob" in option for option in options):
        return [1 / len(options)] * len(options)
    probs = []
    for i, option in enumerate(options):
        if "prob" not in option:
            raise RecipeError(f"{key}.{i}.prob", "is missing; give every option one, or none")
        probs.append(probability(f"{key}.{i}.prob", option["prob"]))
    if abs(sum(probs) - 1) > 1e-6:
        raise RecipeError(key, f"their probabilities sum to {sum(probs):.6g}, not to 1")
    return probs
