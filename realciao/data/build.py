"""Data sets, and the degradations in them, from the specs of an option file."""

from collections.abc import Mapping
from typing import Any, cast

import degradations
from realciao.data.datasets import TrainSet, ValSet
from realciao.errors import OptionError
from realciao.registry import DATASET_REGISTRY, build


def build_train_set(
    spec: Mapping[str, Any], where: str = "", *, scale_range: tuple[float, float], seed: int, gt_usm: bool
) -> TrainSet:
    """The training set of a spec `{type: SyntheticDataset, ...}`, which holds none of the loader's keys.

    Args:
        spec: see the class that it names.
        where: the spec's place in the option file.
        scale_range: smallest and largest scale, at least 1.
        seed: of the run.
        gt_usm: whether a loss wants the sharpened target.
    """
    _check_role(spec, where, TrainSet, "train")
    return cast(TrainSet, build(DATASET_REGISTRY, spec, where, scale_range=scale_range, seed=seed, gt_usm=gt_usm))


def build_val_set(spec: Mapping[str, Any], where: str = "", *, seed: int) -> ValSet:
    """The validation set of a spec `{type: SyntheticValSet, ...}`."""
    _check_role(spec, where, ValSet, "validate")
    return cast(ValSet, build(DATASET_REGISTRY, spec, where, seed=seed))


def build_recipe(pipeline: str | dict[str, Any]) -> degradations.Pipeline:
    """The degradations that the option `pipeline` names: a recipe's name, a YAML file, or a spec.

    Raises:
        OptionError: at path `pipeline`.
    """
    try:
        return degradations.build_pipeline(pipeline)
    except degradations.RecipeError as error:
        if error.source:  # the path is one inside that file
            raise OptionError("pipeline", str(error)) from error
        raise OptionError(error.path, error.problem).below("pipeline") from error


def _check_role(spec: Mapping[str, Any], where: str, role: type, verb: str) -> None:
    name = spec.get("type") if isinstance(spec, Mapping) else None
    known = {key: cls for key, cls in DATASET_REGISTRY if isinstance(cls, type) and issubclass(cls, role)}
    if name in DATASET_REGISTRY and name not in known:
        error = OptionError("type", f"'{name}' is not a data set to {verb} on; these are: {', '.join(sorted(known))}")
        raise error.below(where)
