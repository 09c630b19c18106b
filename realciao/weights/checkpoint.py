"""Weights files: ours, which are safetensors that name their own network, and checkpoints of teachers."""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

from realciao.errors import OptionError, UserError
from realciao.files import atomic_write
from realciao.weights.catalogue import TEACHERS
from realciao.weights.header import FORMAT, HEADER, is_ours, read_header
from realciao.weights.networks import borrowed, build_network, teacher_network
from realciao.weights.shipped import find_weights
from realciao.weights.state import load_tensors
from realciao.weights.teachers import read_teacher

OTHERS = ("trunk", "teacher")
"""What a header says of third-party networks (name, SHA-256, licence): whose trunk it has, and who taught it."""


def save_weights(net: nn.Module, path: str | Path, **notes: Any) -> None:
    """Writes a network's weights as safetensors; its spec and the notes go into the header, so that the file is all one needs.

    Tensors that are unchanged from a teacher with a name are left out; they are read from its wheel again.

    Args:
        net: made by `build_network`; its `spec` says how to make it again.
        path: the file appears whole or not at all.
        **notes: JSON values, e.g. scale_range=[1, 4], step=800, licence="Apache-2.0", data="...".
    """
    others = {key: getattr(net, key) for key in OTHERS if hasattr(net, key)}
    header = {"format": FORMAT, "spec": net.spec, **others, **notes}
    state = net.state_dict()
    for name in borrowed(net):
        del state[name]
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    atomic_write(path, safetensors.torch.save(tensors, {HEADER: json.dumps(header)}))


def load_weights(weights: str | Path) -> nn.Module:
    """The network that a weights file describes, with those weights, in eval mode on the CPU.

    A teacher by name, or the checkpoint of one (see `teachers.read_teacher`), becomes a network that gives the teacher's own
    result, through an antialiased filter, at any size.

    Args:
        weights: a path, or a name, see `find_weights`.

    Raises:
        UserError: no such weights, the file cannot be read (see `read_header`), or its tensors do not fit its spec.
    """
    if is_teacher(weights):
        teacher = read_teacher(weights)
        try:
            return teacher_network(teacher)
        except OptionError as error:  # of the network that its tensors' shapes ask for
            raise UserError(f"{weights}: {error.problem}") from error
    path = find_weights(weights)
    header = read_header(path)
    try:
        _check_teacher(header)
        net: Any = build_network(header["spec"])
        load_tensors(net, {**borrowed(net), **safetensors.torch.load_file(path)})
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    for key in OTHERS:
        if key in header:
            setattr(net, key, header[key])
    return net.eval()


def _check_teacher(header: Any) -> None:
    """UserError where a header asks for another file than that of the teacher that it was saved with."""
    encoder: Any = header["spec"].get("encoder") if isinstance(header["spec"], dict) else None
    name = encoder.get("weights") if isinstance(encoder, dict) else None
    if not isinstance(name, str):
        return
    if name not in TEACHERS:
        if not encoder.get("network"):
            raise UserError(f"its teacher '{name}' is none that is known by name, and its network is not told")
        return
    notes, named = header.get("trunk", header.get("teacher")), TEACHERS[name]
    if isinstance(notes, dict) and notes.get("name") == name and notes.get("sha256") != list(named.files.values())[-1]:
        raise UserError(f"its trunk is of another '{name}' than that of {named.wheel}; use the version that made it")


def is_teacher(weights: str | Path) -> bool:
    """Whether weights are a teacher's: by its name, or a file that is not ours."""
    if str(weights) in TEACHERS:
        return True
    path = Path(weights)
    if not path.is_file() or path.suffix == ".safetensors":
        return path.is_file() and not is_ours(path)
    return path.suffix in (".pth", ".pt", ".ckpt")


def blend_weights(one: Any, other: Any, share: float) -> Any:
    """Sets the first network's weights between both: share 0 keeps its own, 1 takes the other's (network interpolation).

    Raises:
        UserError: different networks, or a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise UserError(f"{share:g} is no share; give a number from 0 to 1")
    if _kind(one) != _kind(other):
        raise UserError("these are weights of different networks; give two of the same network")
    theirs = other.state_dict()
    mixed = {
        name: tensor.lerp(theirs[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in one.state_dict().items()
    }
    one.load_state_dict(mixed)
    told = [net.teacher for net in (one, other) if hasattr(net, "teacher")]
    if len(told) == 2 and told[0] != told[1]:  # the file of the blend names both, with both licences
        one.teacher = {key: " and ".join(dict.fromkeys(str(each[key]) for each in told)) for key in told[0]}
    return one


def _kind(net: Any) -> Any:
    """A network's spec without the name of the teacher that its trunk is from: two teachers of one network may be blended."""
    encoder = {key: value for key, value in net.spec["encoder"].items() if key != "weights"}
    return {**net.spec, "encoder": encoder}
