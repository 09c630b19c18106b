"""Networks whose encoder is a teacher's, which their spec gives by name or path."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from realciao.archs import build_network as build_empty
from realciao.errors import OptionError, UserError
from realciao.registry import ARCH_REGISTRY, find
from realciao.weights.catalogue import TEACHERS, Spec
from realciao.weights.teachers import Teacher, read_teacher

TEACHER = "teacher"
"""As an encoder's `weights`, it stands for the teacher that the option file names."""


def build_network(spec: Spec, teacher: str | None = None) -> nn.Module:
    """The network that a spec describes, with fresh weights but for what it takes from a teacher.

    Args:
        spec: {"type": "CiaoSR", "encoder": {"type": "TrunkEncoder", "weights": "realesrgan-x4plus", ...}, "decoder": {...}}.
        teacher: name or path of what "teacher" stands for in it.

    Raises:
        OptionError: the spec names an unknown class or argument, a value that it refuses, or a teacher that is not there.
    """
    wanted = _wanted(spec, teacher)
    if wanted is None:
        return build_empty(spec)
    try:
        found = read_teacher(wanted)
    except UserError as error:
        where = "teacher.model" if spec["encoder"]["weights"] == TEACHER else "network_g.encoder.weights"
        raise OptionError(where, str(error)) from error
    return build_with(spec, found)


def build_with(spec: Spec, teacher: Teacher) -> nn.Module:
    """The network of a spec whose encoder has this teacher's weights.

    The network's own spec holds the teacher's name and its network, so that a student can be built again without its file.
    """
    as_it_is = {"rgb_mean": [0.0, 0.0, 0.0], "rgb_std": [1.0, 1.0, 1.0]}
    for key, value in as_it_is.items():
        if list(spec.get(key, value)) != value:
            raise OptionError(f"network_g.{key}", f"a teacher takes RGB as it is: leave it out, or give {value}")
    encoder = {**spec["encoder"], "network": teacher.network, "weights": teacher.name}
    net: Any = build_empty({**spec, **as_it_is, "encoder": encoder})
    net.spec["encoder"] = {**net.spec["encoder"], "weights": teacher.name}
    try:
        take_over(net, teacher.tensors)
    except UserError as error:
        raise UserError(f"{teacher.path}: {error}") from error
    net.trunk = net.teacher = teacher.notes()  # training may name another teacher, see `save_weights`
    return net


def take_over(net: Any, tensors: Mapping[str, Tensor]) -> None:
    """Gives the encoder the teacher's tensors.

    Raises:
        UserError: names one that is missing, of another shape, not finite, or that the teacher's network does not have.
    """
    state = net.encoder.state_dict()
    known = net.encoder.cut_away | set(net.encoder.foreign_names.values())
    for name, tensor in tensors.items():
        if name not in known:
            raise UserError(f"the weights do not fit: they hold '{name}', which the teacher's network has not")
        if not tensor.isfinite().all():
            raise UserError(f"the weights are spoilt: '{name}' holds values that are not finite")
    theirs = {own: tensors.get(name) for own, name in net.encoder.foreign_names.items()}
    for own, tensor in theirs.items():
        if tensor is None or tensor.shape != state[own].shape:
            name = net.encoder.foreign_names[own]
            raise UserError(f"the weights do not fit: '{name}' is missing or of another shape")
    net.encoder.load_state_dict(theirs)


def teacher_network(teacher: Teacher) -> nn.Module:
    """A teacher as a network for any scale: its own result, through an antialiased filter."""
    spec = {
        "type": "CiaoSR",
        "encoder": {"type": "TrunkEncoder", "at": "map"},
        "decoder": {"type": "ZeroDecoder"},
    }
    return build_with(spec, teacher).eval().requires_grad_(False)


def borrowed(net: Any) -> dict[str, Tensor]:
    """The tensors, by the network's names, that its weights file can leave out: those unchanged from a teacher with a name.

    Empty where the trunk has been trained.
    """
    name = net.spec.get("encoder", {}).get("weights")
    if name not in TEACHERS:
        return {}
    theirs = read_teacher(name).tensors
    names = net.encoder.foreign_names
    state = net.encoder.state_dict()
    same = all(tensor.detach().cpu().equal(theirs[names[own]]) for own, tensor in state.items())
    return {f"encoder.{own}": theirs[names[own]] for own in state} if same else {}


def _wanted(spec: Any, teacher: str | None) -> str | None:
    """The teacher to look up for a spec's encoder, by name or path; None for none."""
    encoder = spec.get("encoder") if isinstance(spec, Mapping) else None
    weights = encoder.get("weights") if isinstance(encoder, Mapping) else None
    if not isinstance(encoder, Mapping) or not isinstance(weights, str | Path) or not _takes_weights(encoder):
        return None
    if encoder.get("network") and weights not in TEACHERS:  # from the weights file of a student, which holds the trunk
        return None
    if weights != TEACHER:
        return str(weights)
    if teacher is None:
        raise OptionError(
            "network_g.encoder.weights", "stands for the teacher, and the options name none; give teacher.model"
        )
    return teacher


def _takes_weights(encoder: Any) -> bool:
    try:
        return find(ARCH_REGISTRY, encoder.get("type")).__name__ == "TrunkEncoder"
    except OptionError:  # which building it will tell
        return False
