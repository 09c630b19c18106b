"""Tensors by name: read from the files of others, and loaded where they must fit exactly."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from realciao.errors import UserError

CONTAINERS = ("params_ema", "params", "state_dict", "model", "sd")
"""Where .pth files keep their tensors: BasicSR's averaged weights before its raw ones, mmcv's, LIIF's (`sd` in `model`)."""


def load_tensors(net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Loads a state dict.

    Raises:
        UserError: names the first missing, unexpected or ill-shaped entry, or one that is not finite.
    """
    wanted = net.state_dict()
    for name in [*sorted(wanted.keys() - tensors.keys()), *sorted(tensors.keys() - wanted.keys())]:
        there, here = ("lack", "has") if name in wanted else ("hold", "has not")
        raise UserError(f"the weights do not fit: they {there} '{name}', which the network {here}")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            shapes = f"{list(tensor.shape)}, the network needs {list(wanted[name].shape)}"
            raise UserError(f"the weights do not fit: '{name}' is {shapes}")
        if not tensor.isfinite().all():
            raise UserError(f"the weights are spoilt: '{name}' holds values that are not finite")
    net.load_state_dict(tensors)


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a foreign checkpoint, safetensors or .pth, by name: bare, or in one of the `CONTAINERS`.

    Raises:
        UserError: no such file, damaged, or it holds more than tensors and plain values, which is never unpickled.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        is_safetensors = path.suffix == ".safetensors"
        with warnings.catch_warnings(action="ignore"):
            data: Any = (
                safetensors.torch.load_file(path) if is_safetensors else torch.load(path, "cpu", weights_only=True)
            )
    except pickle.UnpicklingError as error:  # torch's words advise to read it nevertheless
        raise UserError(f"{path}: holds more than tensors (code, perhaps) and is not read, or is damaged") from error
    except Exception as error:  # torch raises whatever the damage leads to
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: not a checkpoint of tensors alone ({reason})") from error
    for key in CONTAINERS:
        data = data[key] if isinstance(data, dict) and isinstance(data.get(key), dict) else data
    if not isinstance(data, dict) or not any(isinstance(value, torch.Tensor) for value in data.values()):
        raise UserError(f"{path}: holds no tensors by name")
    tensors = {str(name): value for name, value in data.items() if isinstance(value, torch.Tensor)}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_complex() or tensor.is_quantized:
            raise UserError(f"{path}: '{name}' is no ordinary tensor of real numbers")
    return tensors
