"""RealCiaoSR: real-world super-resolution at any scale. The public names load on first use, so that `--help` is quick."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realciao.evaluation.folder import evaluate as evaluate
    from realciao.options.run import load_options as load_options
    from realciao.upscaling.upscaler import Upscaler as Upscaler
    from realciao.weights.checkpoint import load_weights as load_weights
    from realciao.weights.checkpoint import save_weights as save_weights
    from realciao.weights.networks import build_network as build_network
    from realciao.weights.published import from_published as from_published

__version__ = "0.1.0"

_HOME = {
    "Upscaler": "realciao.upscaling.upscaler",
    "build_network": "realciao.weights.networks",
    "evaluate": "realciao.evaluation.folder",
    "from_published": "realciao.weights.published",
    "load_options": "realciao.options.run",
    "load_weights": "realciao.weights.checkpoint",
    "save_weights": "realciao.weights.checkpoint",
}
__all__ = [
    "Upscaler",
    "build_network",
    "evaluate",
    "from_published",
    "load_options",
    "load_weights",
    "save_weights",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'realciao' has no attribute '{name}'")
