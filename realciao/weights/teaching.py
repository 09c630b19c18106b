"""Runs a teacher: LR patches in, its results out."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from realciao.errors import UserError
from realciao.weights.networks import build_with
from realciao.weights.teachers import Teacher


class Lesson(NamedTuple):
    """A teacher's results for LR images."""

    taught: Float[Tensor, "b 3 sh sw"]
    """RGB in [0, 1], rounded to 8 bits as in an image file."""
    kept: Float[Tensor, "b c h w"] | None
    """The trunk's map, from which a student on the same trunk may start."""


class NoFeaturesError(UserError):
    """A teacher's trunk's map and its result cannot be had in one pass."""


class RunningTeacher:
    """A teacher on a device, frozen.

    Args:
        teacher: from `read_teacher`.
        device: where it runs.
        dtype: of its convolutions; what comes out is float32.
        features: whether the trunk's map is given, too.

    Raises:
        UserError: it makes no RGB image.
        NoFeaturesError: `features`, and its map cannot be had in the same pass as its result.
    """

    def __init__(
        self, teacher: Teacher, device: torch.device, dtype: torch.dtype = torch.float32, features: bool = False
    ) -> None:
        spec = {"type": "CiaoSR", "decoder": {"type": "ZeroDecoder"}}
        whole: Any = build_with({**spec, "encoder": {"type": "TrunkEncoder", "at": "map"}}, teacher).encoder
        if features and not whole.keeps:
            trunk: Any = build_with({**spec, "encoder": {"type": "TrunkEncoder", "at": "trunk"}}, teacher).encoder
            if getattr(trunk.trunk, "name", None) != whole.trunk.name:  # two modules receive the two maps
                raise NoFeaturesError(
                    f"{teacher.name}: its trunk's map and its result cannot be had in one pass; leave --features out"
                )
        self.teacher = teacher
        self.scale = teacher.scale
        self.device = device
        self.dtype = dtype
        self.features = features
        whole = whole.to(device).eval().requires_grad_(False)
        self.encoder = whole.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def __call__(self, lq: Float[Tensor, "b 3 h w"]) -> Lesson:
        lq = lq.to(self.device).contiguous(memory_format=torch.channels_last)
        kept = None
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            if self.features and self.encoder.keeps:
                kept = self.encoder.keep(lq)
                base = self.encoder.resume(kept, lq).base
            else:
                feat, base = self.encoder(lq)
                kept = feat if self.features else None
        taught = (base.float().clamp(0, 1) * 255).round() / 255
        return Lesson(taught.contiguous(), kept)
