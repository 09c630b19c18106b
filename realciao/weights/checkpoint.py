"""Files of weights: ours (safetensors that describe their own network), and those of others."""

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from realciao.archs import build_network
from realciao.errors import UserError
from realciao.files import atomic_write
from realciao.weights.state import load_tensors

HEADER = "realciao"
FORMAT = 1
CONTAINERS = ("params_ema", "params", "state_dict", "model", "sd")
"""Where .pth files keep their tensors: BasicSR's averaged weights before its raw ones, mmcv's, LIIF's (`sd` in `model`)."""


def save_weights(net: nn.Module, path: str | Path, **notes: Any) -> None:
    """Writes a network's weights as safetensors; its spec and the notes go into the header, so that the file is all one needs.

    Args:
        net: made by `build_network`; its `spec` says how to make it again.
        path: the file appears whole or not at all.
        **notes: JSON values, e.g. scale_range=[1, 4], step=800, licence="Apache-2.0", data="...".
    """
    header = {"format": FORMAT, "spec": net.spec, **notes}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    atomic_write(path, safetensors.torch.save(tensors, {HEADER: json.dumps(header)}))


def read_header(path: str | Path) -> dict[str, Any]:
    """What a weights file says of itself: `spec`, and the notes it was saved with.

    Raises:
        UserError: no such file, not safetensors, damaged, or without our header.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    try:
        path.open("rb").close()
    except OSError as error:  # for which safetensors has other words
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        header = json.loads(metadata[HEADER])
    except (safetensors.SafetensorError, OSError) as error:
        convert = "a released CiaoSR .pth is converted by `python scripts/convert_weights.py IN OUT.safetensors`"
        cure = "copy it anew" if path.suffix == ".safetensors" else convert
        raise UserError(f"{path}: not a whole safetensors file ({error}); {cure}") from error
    except (KeyError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(
            f"{path}: safetensors without RealCiaoSR's header, so its network is unknown; "
            "a released CiaoSR is converted by `python scripts/convert_weights.py IN OUT.safetensors`"
        ) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT or "spec" not in header:
        raise UserError(f"{path}: written by another version of RealCiaoSR (this one reads format {FORMAT})")
    return header


def load_weights(path: str | Path) -> nn.Module:
    """The network that a weights file describes, with those weights, in eval mode on the CPU.

    Raises:
        UserError: the file cannot be read (see `read_header`), or its tensors do not fit its spec.
    """
    header = read_header(path)
    try:
        net = build_network(header["spec"])
        load_tensors(net, safetensors.torch.load_file(path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return net.eval()


def blend_weights(one: nn.Module, other: nn.Module, share: float) -> nn.Module:
    """The first network with weights between both: share 0 leaves its own, 1 gives the other's (network interpolation).

    Raises:
        UserError: different networks, or a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise UserError(f"{share:g} is no share; give a number from 0 to 1")
    if one.spec != other.spec:
        raise UserError("these are weights of different networks, between which there is nothing; give two of one")
    theirs = other.state_dict()
    mixed = {
        name: tensor.lerp(theirs[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in one.state_dict().items()
    }
    one.load_state_dict(mixed)
    return one


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
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_complex():
            raise UserError(f"{path}: '{name}' is no ordinary tensor of real numbers")
    return tensors
