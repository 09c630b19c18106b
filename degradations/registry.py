"""What a step is, how it is registered, and how a `{type: ..., ...}` of a recipe becomes one."""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

import degradations.basicsr_shim  # noqa: F401  (must precede basicsr)
from basicsr.utils.registry import Registry

from degradations import words
from degradations.errors import RecipeError, suggest
from degradations.values import happens, probability

DEGRADATION_REGISTRY: Any = Registry("degradation")  # Any: BasicSR annotates nothing, and its decorator reads as None

Size = tuple[int, int]
Params = dict[str, Any]
"""Everything that one step of a plan was decided to do, as plain JSON values."""


@dataclass(frozen=True)
class Frame:
    """Where a recipe stands while its plan is drawn: sizes (height, width), never pixels."""

    size: Size
    """of the image at this point"""
    hr_size: Size
    """of the image at the start"""
    lr_size: Size
    """of the image at the end"""

    @property
    def scale(self) -> float:
        """From LR to HR by their sizes; the geometric mean of the two axes."""
        (hr_height, hr_width), (height, width) = self.hr_size, self.lr_size
        return math.sqrt(hr_height * hr_width / (height * width))

    def after(self, steps: Sequence[Params]) -> "Frame":
        """The frame behind these steps; a step that changes the size states the new one under "size"."""
        sizes = [step["size"] for step in steps if "size" in step]
        return replace(self, size=tuple(sizes[-1])) if sizes else self


class Node(ABC):
    """An entry of a recipe: a step, or a control that decides which steps there will be."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, frame: Frame) -> list[Params]:
        """Draws the steps that this entry adds to the plan, in order."""


class Step(Node):
    """One degradation. Its keys in a recipe are the arguments of its constructor, which checks them.

    A step that changes the image's size puts the new one into its parameters as `"size": [height, width]`.
    """

    @abstractmethod
    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        """Draws every parameter, as plain JSON values; noise is drawn as a seed."""

    @classmethod
    @abstractmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h2 w2 3"]:
        """Does what `params` say to an image, RGB in about [0, 1] (filters overshoot); the image is not modified."""

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h2 w2"]:
        """`apply` to each of a batch of images by its own parameters, all of which lead to one size.

        On the images' device, and differentiable where a step says so. This one goes through `apply`, image by image, and
        stops the gradient: for codecs, and for a step that nobody has written in torch.
        """
        done = [
            torch.from_numpy(np.array(cls.apply(p, np.ascontiguousarray(image.transpose(1, 2, 0)))))
            for p, image in zip(params, images.detach().cpu().numpy(), strict=True)
        ]
        return torch.stack(done).permute(0, 3, 1, 2).to(images)

    @classmethod
    def describe(cls, params: Params) -> str:
        """What `params` do, in words for a person; this one says every parameter by its key."""
        return words.describe(cls.__name__, params)

    def draw(self, rng: np.random.Generator, frame: Frame) -> list[Params]:
        return [{"type": type(self).__name__, **self.sample(rng, frame)}]


@dataclass(frozen=True)
class Gate(Node):
    """Lets an entry through with a probability; written as `prob:` on any entry of a recipe."""

    node: Node
    prob: float

    def draw(self, rng: np.random.Generator, frame: Frame) -> list[Params]:
        return self.node.draw(rng, frame) if happens(rng, self.prob) else []


def build_node(spec: Any) -> Node:
    """Constructs the registered class that `spec["type"]` names with the rest of the spec as its arguments.

    Raises:
        RecipeError: no or unknown type, unknown or missing key, or a value that the class refuses.
    """
    if not isinstance(spec, Mapping):
        raise RecipeError("", f"expected a step, {{type: ..., ...}}, got {spec!r}")
    if "type" not in spec:
        raise RecipeError("type", f"is missing; known: {', '.join(sorted(DEGRADATION_REGISTRY.keys()))}")
    cls = find_class(spec["type"])
    given = {key: value for key, value in spec.items() if key not in ("type", "prob")}
    _check_keys(cls, given)
    gate = probability("prob", spec["prob"]) if "prob" in spec else None
    try:
        node = cls(**given)
    except RecipeError:
        raise
    except (TypeError, ValueError) as error:
        raise RecipeError("", f"{spec['type']}: {error}") from error
    return node if gate is None else Gate(node, gate)


def build_nodes(key: str, specs: Any) -> list[Node]:
    """Builds the list of entries under `key`, which may not be empty; the paths of errors start with `key`."""
    if not isinstance(specs, Sequence) or isinstance(specs, str) or not specs:
        raise RecipeError(key, f"expected a list of steps, got {specs!r}")
    nodes = []
    for i, spec in enumerate(specs):
        try:
            nodes.append(build_node(spec))
        except RecipeError as error:
            raise error.below(f"{key}.{i}") from error
    return nodes


def find_class(name: Any) -> Any:
    """The class registered under `name`; raises RecipeError at `type`."""
    if not isinstance(name, str) or name not in DEGRADATION_REGISTRY:
        raise RecipeError("type", f"'{name}' is not a step{suggest(name, DEGRADATION_REGISTRY.keys())}")
    return DEGRADATION_REGISTRY.get(name)


def _check_keys(cls: Any, given: Mapping[str, Any]) -> None:
    parameters = inspect.signature(cls).parameters
    for key in given:
        if key not in parameters:
            raise RecipeError(str(key), f"unknown key{suggest(key, [*parameters, 'prob'])}")
    for key, parameter in parameters.items():
        if key not in given and parameter.default is inspect.Parameter.empty:
            raise RecipeError(key, f"{cls.__name__} needs it")
