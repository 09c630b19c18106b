"""A recipe becomes a pipeline, and a pipeline draws plans, from a generator and a size: never from the image."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from degradations.control import Sequence
from degradations.errors import RecipeError, suggest
from degradations.plan import PLAN_VERSION, Plan
from degradations.registry import Frame, Node, Size, Step, build_node

RECIPES = Path(__file__).parent / "recipes"


class Pipeline:
    """A recipe, checked and ready to draw plans.

    Args:
        name: put into the plans.
        steps: list of entries; the last resize must be to the LR size.
        target: a step that makes the target from the HR image, and the degraded image starts from its result; None for
            the HR image as it is.
    """

    def __init__(self, name: str, steps: Any, target: Any = None) -> None:
        self.name = name
        self.steps = Sequence(steps)
        self.target = None if target is None else _build_target(target)
        _rehearse(self)

    def sample(self, rng: np.random.Generator, size: Size, scale: float | tuple[float, float]) -> Plan:
        """Draws the plan for an image of `size` (H, W), whose LR image has max(1, round(n / s)) pixels along each axis.

        Args:
            rng: the only source of randomness.
            size: of the HR image.
            scale: 1 or more; a pair is (scale_y, scale_x).
        """
        frame = Frame(size, size, lr_size(size, scale))
        target = self.target.draw(rng, frame)[0] if self.target else None
        steps = self.steps.draw(rng, frame)
        end = frame.after(steps).size
        if end != frame.lr_size:
            raise RecipeError(
                "steps", f"end with an image of {end} where LR is {frame.lr_size}; resize to `lr` at the end"
            )
        return {
            "version": PLAN_VERSION,
            "recipe": self.name,
            "size": list(size),
            "lr_size": list(frame.lr_size),
            "target": target,
            "steps": steps,
        }


def build_pipeline(name_or_spec: str | Path | Mapping[str, Any]) -> Pipeline:
    """Builds the pipeline of a recipe, given by name (see `recipe_names`), as a path to a .yml file, or as a mapping.

    Raises:
        RecipeError: unknown name, unreadable file, or a wrong key, with the dotted path of the key.
    """
    if isinstance(name_or_spec, Mapping):
        return _build(name_or_spec, "custom")
    path = Path(name_or_spec)
    if path.suffix not in (".yml", ".yaml"):
        path = RECIPES / f"{name_or_spec}.yml"
        if str(name_or_spec) not in recipe_names():
            raise RecipeError(
                "", f"no recipe is called '{name_or_spec}'{suggest(name_or_spec, recipe_names())}, or a .yml file"
            )
    try:
        return _build(_read_yaml(path), path.stem)
    except RecipeError as error:
        raise error.within(str(path)) from error


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yml"))


def lr_size(size: Size, scale: float | tuple[float, float]) -> Size:
    """LR height and width of an HR image of `size`: max(1, round(n / s)) per axis; raises RecipeError where s < 1."""
    scale_y, scale_x = scale if isinstance(scale, tuple | list) else (scale, scale)
    for s in (scale_y, scale_x):
        if not 1 <= s < math.inf:
            raise RecipeError("scale", f"must be 1 or more, got {s}")
    return max(1, round(size[0] / scale_y)), max(1, round(size[1] / scale_x))


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError("", f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError("", f"is not YAML: {' '.join(str(error).split())}") from error


def _build(spec: Any, default_name: str) -> Pipeline:
    if not isinstance(spec, Mapping):
        raise RecipeError("", f"expected a recipe, {{steps: [...]}}, got {spec!r}")
    for key in spec:
        if key not in ("name", "steps", "target"):
            raise RecipeError(str(key), f"unknown key{suggest(key, ('name', 'steps', 'target'))}")
    return Pipeline(str(spec.get("name", default_name)), spec.get("steps"), spec.get("target"))


def _build_target(spec: Any) -> Node:
    try:
        node = build_node(spec)
    except RecipeError as error:
        raise error.below("target") from error
    if not isinstance(node, Step):
        raise RecipeError("target", "must be a single step without `prob`")
    return node


def _rehearse(pipeline: Pipeline) -> None:
    """Draws some plans, so that a recipe that cannot work says so when it is built and not hours into a training."""
    rng = np.random.default_rng(0)
    for scale in (1.0, 2.7, 4.0, 16.0) * 4:
        plan = pipeline.sample(rng, (100, 75), scale)
        try:
            intact = json.loads(json.dumps(plan)) == plan
        except TypeError:
            intact = False
        if not intact:
            raise RecipeError(
                "steps", "a step draws parameters that JSON changes; use float, int, bool, str, list, None"
            )
