"""Makes basicsr 1.4.2 importable on current torchvision, part by part; import it before the first `import basicsr`.

basicsr 1.4.2 asks for `torchvision.transforms.functional_tensor`, which torchvision 0.17 removed; the one name it wants
from there, `rgb_to_grayscale`, lives on in `torchvision.transforms.functional`, so an alias is the whole cure.

Whatever one wants of it, basicsr imports all of itself, and torchvision, and with that torch's compiler: more seconds than
torch itself, for a registry of forty lines. So its package and `basicsr.utils` begin empty here, and load by themselves when
something is asked of them that is not a module of theirs.
"""

import importlib
import importlib.util
import sys
import types
from typing import Any

FUNCTIONAL = "torchvision.transforms.functional"
EMPTY_AT_FIRST = ("basicsr", "basicsr.utils")


class _Alias(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # whoever looks through all modules asks for these
            raise AttributeError(name)
        return getattr(importlib.import_module(FUNCTIONAL), name)


class _Empty(types.ModuleType):
    """A package whose `__init__` runs once a name is missing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__all__", "__version__", "__gitsha__"):
            raise AttributeError(name)
        load(self)
        return getattr(self, name)


def load(package: types.ModuleType) -> None:
    """Runs the `__init__` of a package that is still empty."""
    if isinstance(package, _Empty):
        # first, because what it imports may ask for names of it
        package.__class__ = types.ModuleType  # pyright: ignore[reportAttributeAccessIssue]
        spec = package.__spec__
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(package)


sys.modules.setdefault(f"{FUNCTIONAL}_tensor", _Alias(f"{FUNCTIONAL}_tensor"))
for _name in EMPTY_AT_FIRST:
    _spec = None if _name in sys.modules else importlib.util.find_spec(_name)
    if _spec is not None:
        _package = importlib.util.module_from_spec(_spec)
        _package.__class__ = _Empty
        sys.modules[_name] = _package
        if "." in _name:  # as importing it does
            setattr(sys.modules["basicsr"], _name.rpartition(".")[2], _package)
