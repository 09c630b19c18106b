"""BasicSR's registries, and the one way in which a `{type: ..., ...}` spec becomes an object."""

import importlib
import inspect
import pkgutil
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

import msgspec
from torch import Tensor

from degradations import basicsr_shim  # must precede basicsr
import basicsr
import basicsr.utils.registry as basicsr_registry

from realciao.errors import OptionError, did_you_mean

Registry = basicsr_registry.Registry
# Any, because BasicSR annotates nothing, and its decorator would read as None
ARCH_REGISTRY: Any = basicsr_registry.ARCH_REGISTRY
DATASET_REGISTRY: Any = basicsr_registry.DATASET_REGISTRY
LOSS_REGISTRY: Any = basicsr_registry.LOSS_REGISTRY
METRIC_REGISTRY: Any = basicsr_registry.METRIC_REGISTRY

__all__ = [
    "ARCH_REGISTRY",
    "DATASET_REGISTRY",
    "LOSS_REGISTRY",
    "METRIC_REGISTRY",
    "Registry",
    "build",
    "import_all",
]


def import_all(package: str) -> None:
    """Imports every module of a package, so that the decorators in its files fill the registries.

    Args:
        package: in the package's own `__init__`, `__name__`.
    """
    for module in pkgutil.iter_modules(sys.modules[package].__path__):
        importlib.import_module(f"{package}.{module.name}")


def find(registry: Registry, name: Any) -> Any:
    """The class registered under `name`; of those that share it, ours (suffix `_realciao`) comes first, then BasicSR's.

    Raises:
        OptionError: at path `type`, naming the nearest registered name.
    """
    for fill in (
        lambda: None,
        lambda: basicsr_shim.load(basicsr),
    ):  # BasicSR's own names, if ours do not suffice: seconds
        fill()
        for candidate in (f"{name}_realciao", name, f"{name}_basicsr") if isinstance(name, str) else ():
            if candidate in registry:
                # Registry.get prints when it misses, so it is asked only for what is there
                return registry.get(candidate)
    names = [str(key).removesuffix("_basicsr").removesuffix("_realciao") for key in registry.keys()]  # noqa: SIM118
    raise OptionError("type", f"'{name}' is not registered{did_you_mean(name, names) or f'; known: {sorted(names)}'}")


def build(registry: Registry, spec: Any, where: str = "", **runtime: Any) -> Any:
    """Constructs the registered class that `spec["type"]` names with the rest of the spec as keyword arguments.

    Args:
        registry: e.g. ARCH_REGISTRY.
        spec: `{"type": "EDSREncoder", "num_feat": 64}`; it is not modified.
        where: the spec's place in the option file, e.g. "network_g"; it prefixes the path of every error.
        **runtime: arguments that the program adds and that a spec may not set.

    Raises:
        OptionError: no or unknown type, unknown, missing or ill-typed argument, or a value the class refuses.
    """
    try:
        if not isinstance(spec, Mapping):
            raise OptionError("", f"expected a mapping with a `type`, got {spec!r}")
        if "type" not in spec:
            raise OptionError("type", f"is missing; known: {sorted(map(str, registry.keys()))}")
        cls = find(registry, spec["type"])
        given = {key: value for key, value in spec.items() if key != "type"}
        try:
            return cls(**_check_arguments(cls, given, runtime), **runtime)
        except OptionError:
            raise
        except Exception as error:  # a class of any library, given what a user wrote, may raise anything
            first_line = str(error).strip().partition("\n")[0]
            raise OptionError("", f"{spec['type']}: {first_line or type(error).__name__}") from error
    except OptionError as error:
        raise error.below(where) from error


def complete(registry: Registry, spec: Mapping[str, Any], **runtime: Any) -> dict[str, Any]:
    """A spec with every default of its class written out, so that it means the same after a default has changed.

    So are the specs inside it. Defaults that no file can hold, such as a class, are left out.
    """
    parameters = inspect.signature(find(registry, spec["type"])).parameters.values()
    plain = (bool, int, float, str, list, tuple, type(None))
    defaults = {p.name: p.default for p in parameters if isinstance(p.default, plain) and p.name not in runtime}
    nested = {
        key: complete(registry, value) for key, value in spec.items() if isinstance(value, Mapping) and "type" in value
    }
    return {"type": spec["type"], **defaults, **spec, **nested}


def _check_arguments(cls: Any, given: dict[str, Any], runtime: dict[str, Any]) -> dict[str, Any]:
    """The given arguments converted to their annotated types, after checking names against the signature."""
    parameters = inspect.signature(cls).parameters
    names = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    allowed = [name for name in names if name not in runtime]
    for name in given:
        if name not in allowed and not (open_ended and name not in runtime):
            raise OptionError(name, f"unknown key{did_you_mean(name, allowed) or f'; known: {allowed}'}")
    for name in allowed:
        if name not in given and parameters[name].default is inspect.Parameter.empty:
            raise OptionError(name, "is missing")
    hints = _type_hints(cls, parameters)
    return {name: _convert(name, value, hints.get(name, Any)) for name, value in given.items()}


def _type_hints(cls: Any, parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The annotated types; where there is none (BasicSR annotates nothing), what the default's type tells."""
    try:
        annotated = typing.get_type_hints(cls.__init__ if inspect.isclass(cls) else cls, include_extras=True)
    except (NameError, TypeError):  # annotations that only a type checker can resolve
        annotated = {}
    told = {bool: bool, int: int | float, float: float, str: str | None}  # the int 1 is often the default of a factor
    hints = {name: told.get(type(p.default), Any) for name, p in parameters.items()} | annotated
    return {name: _without_tensor(hint) for name, hint in hints.items()}


def _without_tensor(hint: Any) -> Any:
    """`float | Tensor` is a float in an option file; msgspec knows no tensors."""
    members = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else ()
    return typing.Union[tuple(m for m in members if m is not Tensor)] if Tensor in members else hint  # noqa: UP007


def _convert(name: str, value: Any, hint: Any) -> Any:
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise OptionError.from_msgspec(error, value).below(name) from error
    except TypeError:  # a type that msgspec does not know: the constructor itself judges
        return value
