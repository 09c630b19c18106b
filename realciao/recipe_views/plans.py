"""Where the plan of an image comes from: drawn by a recipe, or read from a file."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from degradations import Pipeline, RecipeError, build_pipeline, check_plan
from realciao.errors import UserError

MakePlan = Callable[[int, tuple[int, int]], dict[str, Any]]
"""From the running number of an image and its size (height, width) to its plan."""


def load_pipeline(name: str) -> Pipeline:
    """The pipeline of a recipe's name or file; raises UserError."""
    with user_error("--pipeline"):
        return build_pipeline(name)


def drawn_plans(pipeline: Pipeline, scale: float, seed: int) -> MakePlan:
    """Plans that follow from the seed and the running number."""
    return lambda number, size: pipeline.sample(np.random.Generator(np.random.Philox(key=[seed, number])), size, scale)


def replayed_plan(path: Path) -> MakePlan:
    """The plan that a file holds, for any image; raises UserError where it holds none."""
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not JSON ({error})") from error
    with user_error(path):
        check_plan(plan)
    return lambda number, size: plan


@contextmanager
def user_error(where: str | Path) -> Iterator[None]:
    """Makes a UserError, which starts with the option or the file at fault, of a RecipeError."""
    try:
        yield
    except RecipeError as error:
        raise UserError(f"{where}: {error}") from error
