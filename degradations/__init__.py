"""Degradations: image in, worse image out. Recipes in YAML draw plans, plain JSON; plans are applied to images."""

import importlib
import pkgutil

# every file registers its own steps, so a new one needs no entry here
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

from degradations.batch import apply_batch, pair_batch, target_batch  # noqa: E402
from degradations.errors import RecipeError  # noqa: E402
from degradations.pipeline import Pipeline, build_pipeline  # noqa: E402
from degradations.plan import Plan, apply, check_plan, describe, pair, target, trace  # noqa: E402

__all__ = [
    "Pipeline",
    "Plan",
    "RecipeError",
    "apply",
    "apply_batch",
    "build_pipeline",
    "check_plan",
    "describe",
    "pair",
    "pair_batch",
    "target",
    "target_batch",
    "trace",
]
