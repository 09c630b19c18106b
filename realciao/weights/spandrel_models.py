"""Recognises checkpoints with spandrel, by the names and shapes of their tensors.

state.py reads the file; spandrel is given tensors only.
"""

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from realciao.errors import UserError


def recognise_by_spandrel(state_dict: Mapping[str, Tensor]) -> tuple[dict[str, Any], int, dict[str, Tensor]]:
    """The spec, the scale and the tensors, under the spec's names, of a network for one scale.

    Raises:
        UserError: spandrel is not installed, does not know it, or it is no network that makes RGB of RGB, x2, x3 or x4.
    """
    try:
        import spandrel
    except ModuleNotFoundError as error:
        cure = 'python -m pip install -c constraints.txt -e ".[spandrel]"'
        raise UserError(
            f"neither RRDBNet nor SRVGGNetCompact; for other architectures install spandrel: {cure}"
        ) from error
    logging.getLogger("spandrel").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            found = spandrel.ModelLoader().load_from_state_dict(dict(state_dict))
    except spandrel.UnsupportedModelError as error:
        raise UserError("of no architecture that spandrel knows") from error
    except Exception as error:  # it builds what the tensors' shapes ask for
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"spandrel cannot load it ({reason})") from error
    kind = found.architecture.name
    if found.input_channels != 3 or found.output_channels != 3 or found.scale not in (2, 3, 4):
        made = f"x{found.scale}, {found.input_channels} channels to {found.output_channels}"
        raise UserError(f"a {kind} network, {made}; a teacher makes RGB of RGB, x2, x3 or x4")
    model: Any = found.model
    home = type(model).__module__.split(".")[2]
    names = vars(importlib.import_module(f"spandrel.architectures.{home}")).items()
    cls = next((name for name, thing in names if thing is type(model)), home)  # ESRGAN's is called RRDBNet inside
    needs = found.size_requirements
    spec = {
        "type": "SpandrelNet",
        "arch": home if cls == home else f"{home}.{cls}",
        "parameters": {key: value for key, value in model.hyperparameters.items() if _is_plain(value)},
        "size_minimum": max(1, needs.minimum),
        "size_multiple": needs.multiple_of,
    }
    return spec, found.scale, dict(model.state_dict())


def _is_plain(value: Any) -> bool:
    """Whether a header can hold it. Others (classes of layers) are left out, and get their defaults."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
