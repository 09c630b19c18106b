"""A plan holds all that will be done to an image, as plain JSON, and is carried out here by NumPy and OpenCV.

Carried out again, also after a round trip through a file, it gives the same image bit for bit.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from degradations.errors import RecipeError
from degradations.pixels import from_8bit, to_8bit
from degradations.registry import Params, Step, find_class

PLAN_VERSION = 1

Plan = dict[str, Any]
"""{"version", "recipe", "size": [H, W], "lr_size": [h, w], "target": step | null, "steps": [{"type", ...}, ...]}"""


def apply(plan: Plan, image: Float[np.ndarray, "hr_h hr_w 3"]) -> Float[np.ndarray, "h w 3"]:
    """Degrades an HR image, RGB in [0, 1], as the plan says; the result lies on the 8-bit grid of [0, 1].

    Raises:
        RecipeError: the plan is of another version, damaged, or for another size.
    """
    return pair(plan, image)[0]


def target(plan: Plan, image: Float[np.ndarray, "hr_h hr_w 3"]) -> Float[np.ndarray, "hr_h hr_w 3"]:
    """The HR image that belongs to `apply(plan, image)`: sharpened where the recipe says so, else the image itself."""
    check_plan(plan)
    _check_image(plan, image)
    return image if plan["target"] is None else _run_step(plan["target"], image, "target")


def pair(
    plan: Plan, image: Float[np.ndarray, "hr_h hr_w 3"]
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "hr_h hr_w 3"]]:
    """`apply` and `target` in one, which sharpens once: (degraded image, target)."""
    sharpened = degraded = target(plan, image)
    for _, state in trace(plan, sharpened):
        degraded = state
    return from_8bit(to_8bit(degraded)), sharpened


def trace(
    plan: Plan, sharpened: Float[np.ndarray, "hr_h hr_w 3"]
) -> Iterator[tuple[Params, Float[np.ndarray, "h w 3"]]]:
    """Each step with the image behind it, from the target on; `apply` gives the last one, rounded to 8 bits.

    Raises:
        RecipeError: as `apply`, when it comes to the step.
    """
    degraded = sharpened
    for i, step in enumerate(plan["steps"]):
        degraded = _run_step(step, degraded, f"steps.{i}")
        yield step, degraded
    if list(degraded.shape[:2]) != plan["lr_size"]:
        raise RecipeError("lr_size", f"the plan says {plan['lr_size']}, its steps end with {list(degraded.shape[:2])}")


def describe(step: Params) -> str:
    """A step of a plan in words; raises RecipeError where its type is unknown."""
    return find_step(step).describe(step)


def find_step(step: Params) -> type[Step]:
    """The class that carries out a step of a plan; raises RecipeError where it is none."""
    cls = find_class(step["type"])
    if not issubclass(cls, Step):
        raise RecipeError("type", f"'{step['type']}' belongs in a recipe, not in a plan")
    return cls


def check_plan(plan: Any) -> None:
    """Raises RecipeError where something is no plan, or one of another version; its steps are judged when applied."""
    if not isinstance(plan, Mapping):
        raise RecipeError("", f"expected a plan, got {type(plan).__name__}")
    if plan.get("version") != PLAN_VERSION:
        raise RecipeError("version", f"expected a plan of version {PLAN_VERSION}, got {plan.get('version')!r}")
    for key in ("size", "lr_size", "target", "steps"):
        if key not in plan:
            raise RecipeError(key, "is missing from the plan")
    if not isinstance(plan["steps"], list):
        raise RecipeError("steps", f"expected a list, got {plan['steps']!r}")


def _check_image(plan: Plan, image: np.ndarray) -> None:
    if image.dtype != np.float32:
        raise TypeError(f"expected a float32 image in [0, 1], got {image.dtype}")
    if list(image.shape[:2]) != plan["size"]:
        raise RecipeError("size", f"the plan is for an image of {plan['size']}, got one of {list(image.shape[:2])}")
    if not np.isfinite(image.sum()):
        raise ValueError("the image holds NaN or infinity")


def _run_step(step: Params, image: np.ndarray, where: str) -> np.ndarray:
    with blamed_on(where):
        return find_step(step).apply(step, image)


@contextmanager
def blamed_on(where: str) -> Iterator[None]:
    """Makes one line, with the step's place in the plan, of whatever goes wrong: an edited plan may hold anything."""
    try:
        yield
    except RecipeError as error:
        raise error.below(where) from error
    except KeyError as error:
        raise RecipeError(where, f"the step has no {error}") from error
    except torch.OutOfMemoryError:  # not the plan's fault
        raise
    except Exception as error:
        raise RecipeError(where, f"cannot be applied: {' '.join(str(error).split())}") from error
