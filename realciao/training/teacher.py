"""A stage's teacher, live: what it makes of each batch, as a target at the batch's own coordinates."""

import logging
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from realciao.archs.resampling import sample
from realciao.batch import TrainBatch
from realciao.devices import choose_dtype
from realciao.errors import OptionError, UserError
from realciao.options import TeacherOptions
from realciao.weights.teachers import Teacher, read_teacher
from realciao.weights.teaching import RunningTeacher

logger = logging.getLogger("realciao")


def find_teacher(options: TeacherOptions, where: str) -> Teacher:
    """The teacher that a stage names. OptionError at its key where there is none."""
    try:
        return read_teacher(options.model)
    except UserError as error:
        raise OptionError(f"{where}.teacher.model", str(error)) from error


class LiveTeacher:
    """A teacher on the training device: frozen, without gradient.

    Args:
        teacher: the network.
        options: of the stage.
        device: of the training.
        shares_trunk: the student starts from this very trunk, which then runs once for both.
    """

    def __init__(
        self, teacher: Teacher, options: TeacherOptions, device: torch.device, shares_trunk: bool = False
    ) -> None:
        self.running = RunningTeacher(teacher, device, choose_dtype(options.dtype, device), shares_trunk)
        self.scale = teacher.scale

    def add_to(self, batch: TrainBatch) -> TrainBatch:
        """The batch with the target `teacher`, and with what the trunk has made if the student starts there."""
        lesson = self.running(batch["lq"])
        more = {"teacher": reduced(lesson.taught, batch, self.scale)}
        if lesson.kept is not None:
            more["kept"] = lesson.kept
        return cast(TrainBatch, {**cast(dict[str, Any], batch), **more})


@torch.no_grad()
def reduced(taught: Float[Tensor, "b 3 sh sw"], batch: TrainBatch, scale: int) -> Float[Tensor, "b 3 hq wq"]:
    """What a teacher makes of the patches, reduced to the pixels of a batch; above its scale, those of the original."""
    target = sample(taught, batch["coord"], batch["cell"], scale).clamp(0, 1)
    pixels = torch.tensor(batch["lq"].shape[2:], device=taught.device)
    # half a pixel of the patch is what rounding a size may have added
    above = (2 / batch["cell"] > pixels * scale + 0.5).any(dim=1)
    return torch.where(above[:, None, None, None], batch["gt"], target)
