"""A recipe becomes a pipeline, and a pipeline draws plans, from a generator and a size: never from the image."""

import json
import math
from collections.abc import Mapping
from collections.abc import Sequence as Seq
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from degradations.control import Sequence, probabilities
from degradations.errors import RecipeError, suggest
from degradations.plan import PLAN_VERSION, Plan, check_plan
from degradations.pools import pool_path
from degradations.registry import Frame, Node, Size, Step, build_node

RECIPES = Path(__file__).parent / "recipes"

RECIPE_KEYS = ("name", "steps", "target")
MIX_KEYS = ("name", "mix")


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


class Mix(Pipeline):
    """One of several pipelines for every image: its steps and its target.

    Args:
        name: put before the name of the chosen one in the plans, `name/chosen`.
        options: the pipelines.
        probs: of each, with the sum 1.
    """

    def __init__(self, name: str, options: Seq[Pipeline], probs: Seq[float]) -> None:
        self.name = name
        self.options = list(options)
        self.bounds = np.cumsum(probs)

    def sample(self, rng: np.random.Generator, size: Size, scale: float | tuple[float, float]) -> Plan:
        """Draws which pipeline it is, and that one's plan."""
        chosen = int(np.searchsorted(self.bounds[:-1], rng.random(), side="right"))
        plan = self.options[chosen].sample(rng, size, scale)
        return {**plan, "recipe": f"{self.name}/{plan['recipe']}"}


def build_pipeline(name_or_spec: str | Path | Mapping[str, Any]) -> Pipeline:
    """Builds the pipeline of a recipe, given by name (see `recipe_names`), as a path to a .yml file, or as a mapping.

    A recipe has `steps` and perhaps a `target`; or it has a `mix`, a list of `{prob: ..., recipe: name or path}` and of
    whole recipes `{prob: ..., steps: ...}`, and no `prob` or one for each. Paths of recipes are relative to the file they
    stand in, those of pools (photos, kernels) to the working folder.

    Raises:
        RecipeError: unknown name, unreadable file, or a wrong key, with the dotted path of the key.
    """
    return _build_any(name_or_spec, Path(), ())


def _build_any(name_or_spec: str | Path | Mapping[str, Any], folder: Path, above: tuple[Path, ...]) -> Pipeline:
    """`folder`: where relative paths start; `above`: the files that this recipe is being included by."""
    if isinstance(name_or_spec, Mapping):
        return _build(name_or_spec, "custom", folder, above)
    path = folder / name_or_spec
    if path.suffix not in (".yml", ".yaml"):
        path = RECIPES / f"{name_or_spec}.yml"
        if str(name_or_spec) not in recipe_names():
            raise RecipeError(
                "", f"no recipe is called '{name_or_spec}'{suggest(name_or_spec, recipe_names())}, or a .yml file"
            )
    if path.resolve() in above:
        raise RecipeError("", f"'{name_or_spec}' would include itself")
    try:
        return _build(_read_yaml(path), path.stem, path.parent, (*above, path.resolve()))
    except RecipeError as error:
        raise error.within(str(path)) from error
    except RecursionError as error:
        raise RecipeError("", "is nested too deeply, or within itself", str(path)) from error


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


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which of a key given twice would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if doubled := next((key for i, key in enumerate(keys) if key in keys[:i]), None):
            raise yaml.constructor.ConstructorError(None, None, f"the key {doubled} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise RecipeError("", f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise RecipeError("", f"is not YAML: {' '.join(str(error).split())}") from error


def _build(spec: Any, default_name: str, folder: Path, above: tuple[Path, ...]) -> Pipeline:
    if not isinstance(spec, Mapping):
        raise RecipeError("", f"expected a recipe, {{steps: [...]}}, got {spec!r}")
    name = str(spec.get("name", default_name))
    if "mix" in spec:
        _check_keys(spec, MIX_KEYS)
        return _build_mix(name, spec["mix"], folder, above)
    _check_keys(spec, RECIPE_KEYS)
    return Pipeline(name, spec.get("steps"), spec.get("target"))


def _build_mix(name: str, options: Any, folder: Path, above: tuple[Path, ...]) -> Mix:
    if not isinstance(options, list | tuple) or not options:
        raise RecipeError("mix", f"expected a list of recipes, {{prob: ..., recipe: ...}}, got {options!r}")
    pipelines = []
    for i, option in enumerate(options):
        try:
            pipelines.append(_build_option(option, folder, above))
        except RecipeError as error:
            raise error.below(f"mix.{i}") from error
    return Mix(name, pipelines, probabilities("mix", options))


def _build_option(option: Any, folder: Path, above: tuple[Path, ...]) -> Pipeline:
    if not isinstance(option, Mapping):
        raise RecipeError("", f"expected a recipe, {{prob: ..., recipe: ...}}, got {option!r}")
    if "recipe" not in option:
        return _build({key: value for key, value in option.items() if key != "prob"}, "custom", folder, above)
    _check_keys(option, ("prob", "recipe"))
    if not isinstance(option["recipe"], str):
        raise RecipeError("recipe", f"expected a name or a path, got {option['recipe']!r}")
    pool_path("recipe", option["recipe"])
    try:
        return _build_any(option["recipe"], folder, above)
    except RecipeError as error:  # of another file, whose name and path within belong to the message
        raise RecipeError("recipe", str(error)) from error


def _check_keys(spec: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in spec:
        if key not in known:
            raise RecipeError(str(key), f"unknown key{suggest(key, known)}")


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
        check_plan(plan)
        try:
            intact = json.loads(json.dumps(plan)) == plan
        except TypeError:
            intact = False
        if not intact:
            raise RecipeError(
                "steps", "a step draws parameters that JSON changes; use float, int, bool, str, list, None"
            )
