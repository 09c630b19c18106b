"""A degradation pipeline from an option file, with errors that name the option."""

from typing import Any

import degradations
from realciao.errors import OptionError


def build_recipe(pipeline: str | dict[str, Any]) -> degradations.Pipeline:
    """The pipeline that the option `pipeline` names: a recipe's name, a YAML file, or a spec.

    Raises:
        OptionError: at path `pipeline`.
    """
    try:
        return degradations.build_pipeline(pipeline)
    except degradations.RecipeError as error:
        if error.source:  # the path is one inside that file
            raise OptionError("pipeline", str(error)) from error
        raise OptionError(error.path, error.problem).below("pipeline") from error
