"""Entries of a recipe that decide which steps a plan gets; the plan itself holds those steps only."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from degradations.errors import RecipeError
from degradations.registry import DEGRADATION_REGISTRY, Frame, Node, Params, build_nodes
from degradations.values import probability


@DEGRADATION_REGISTRY.register()
class Sequence(Node):
    """All of `steps`, one after the other."""

    def __init__(self, steps: Any) -> None:
        self.nodes = build_nodes("steps", steps)

    def draw(self, rng: np.random.Generator, frame: Frame) -> list[Params]:
        plan: list[Params] = []
        for node in self.nodes:
            drawn = node.draw(rng, frame)
            frame = frame.after(drawn)
            plan += drawn
        return plan


@DEGRADATION_REGISTRY.register()
class Choice(Node):
    """Exactly one of `options`; each is an entry with its `prob`, or none has one and all are equally likely."""

    def __init__(self, options: Any) -> None:
        bare = options
        if isinstance(options, list | tuple):
            bare = [{k: v for k, v in o.items() if k != "prob"} if isinstance(o, Mapping) else o for o in options]
        self.nodes = build_nodes("options", bare)
        self.bounds = np.cumsum(_probabilities(options))

    def draw(self, rng: np.random.Generator, frame: Frame) -> list[Params]:
        chosen = int(np.searchsorted(self.bounds[:-1], rng.random(), side="right"))
        return self.nodes[chosen].draw(rng, frame)


def _probabilities(options: Any) -> list[float]:
    if not any("prob" in option for option in options):
        return [1 / len(options)] * len(options)
    probs = []
    for i, option in enumerate(options):
        if "prob" not in option:
            raise RecipeError(f"options.{i}.prob", "is missing; give every option one, or none")
        probs.append(probability(f"options.{i}.prob", option["prob"]))
    if abs(sum(probs) - 1) > 1e-6:
        raise RecipeError("options", f"their probabilities sum to {sum(probs):.6g}, not to 1")
    return probs
