"""The architectures that spandrel knows, by name and parameters (its extra: `[spandrel]`)."""

import importlib
import inspect
from typing import Any

from torch import nn

from realciao.archs.mlp import Width
from realciao.errors import OptionError
from realciao.registry import ARCH_REGISTRY


@ARCH_REGISTRY.register()
def SpandrelNet(  # noqa: N802  (a class to whoever writes specs)
    arch: str,
    parameters: dict[str, Any] | None = None,
    size_minimum: Width = 1,
    size_multiple: Width = 1,
) -> nn.Module:
    """A network of spandrel's with fresh weights; names of its parameters are the authors'.

    Args:
        arch: spandrel's name of the architecture, e.g. "SPAN"; where its class has another name, "ARCHITECTURE.CLASS".
        parameters: arguments of its constructor.
        size_minimum: least height and width that it takes.
        size_multiple: height and width must be multiples of it.

    Raises:
        OptionError: spandrel is not installed, or has no such architecture.
    """
    name, _, cls_name = arch.partition(".")
    if not name.isidentifier() or name.startswith("_"):
        raise OptionError("arch", f"'{arch}' is no name of an architecture; give one of spandrel's, e.g. SPAN")
    try:
        home = importlib.import_module(f"spandrel.architectures.{name}")
    except ModuleNotFoundError as error:
        if error.name == "spandrel":
            cure = 'spandrel is not installed: python -m pip install -c constraints.txt -e ".[spandrel]"'
            raise OptionError("arch", cure) from error
        raise OptionError("arch", f"spandrel has no architecture '{arch}'") from error
    cls = getattr(home, cls_name or name, None)
    if not (inspect.isclass(cls) and issubclass(cls, nn.Module)):
        raise OptionError("arch", f"spandrel's architecture '{arch}' has no network of that name")
    net: Any = cls(**(parameters or {}))
    net.size_minimum, net.size_multiple = size_minimum, size_multiple
    return net
