"""Who upscales. Importing this package registers every method in its folder; a new one is one file with one class."""

from pathlib import Path
from typing import Any

from realciao.errors import OptionError
from realciao.evaluation.grid.methods.method import METHOD_REGISTRY, Method
from realciao.registry import build, import_all
from realciao.weights.catalogue import TEACHERS


def build_method(spec: dict[str, Any] | str, where: str) -> Method:
    """A method from its spec, or in short from `bicubic`, a teacher's name, a weights file, or a folder of finished images.

    Raises:
        OptionError: below path `where`.
    """
    if isinstance(spec, str):
        spec = _spelled_out(spec)
    given = dict(spec)
    name, optional = given.pop("name", None), given.pop("optional", False)
    if name is not None and (not isinstance(name, str) or not name or "/" in name or name.startswith(".")):
        raise OptionError(f"{where}.name", f"'{name}' is no name for a folder")
    method: Method = build(METHOD_REGISTRY, given, where)
    method.name = name or method.default_name
    method.optional = bool(optional)
    return method


def _spelled_out(short: str) -> dict[str, Any]:
    if short.lower() == "bicubic":
        return {"type": "Bicubic"}
    if short in TEACHERS:
        return {"type": "BasicSR", "model": short}
    return {"type": "Folder" if Path(short).is_dir() else "Weights", "path": short}


import_all(__name__)
