"""A stage's live teacher: its result for each batch, as a target at the batch's own coordinates."""

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from realciao.archs.resampling import sample
from realciao.batch import TrainBatch
from realciao.errors import OptionError, UserError
from realciao.machine.devices import choose_dtype
from realciao.options.run import TeacherOptions
from realciao.weights.teachers import Teacher, read_teacher
from realciao.weights.teaching import NoFeaturesError, RunningTeacher


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
        shares_trunk: the student has the same frozen trunk, which then runs once for both, if one pass can give its map and the
            teacher's result.
    """

    def __init__(
        self, teacher: Teacher, options: TeacherOptions, device: torch.device, shares_trunk: bool = False
    ) -> None:
        dtype = choose_dtype(options.dtype, device)
        try:
            self.running = RunningTeacher(teacher, device, dtype, shares_trunk)
        except NoFeaturesError:
            self.running = RunningTeacher(teacher, device, dtype)
        self.scale = teacher.scale

    def add_to(self, batch: TrainBatch) -> TrainBatch:
        """The batch with the target `teacher`, and with the trunk's map where the student starts from it."""
        lesson = self.running(batch["lq"])
        more = {"teacher": reduced(lesson.taught, batch, self.scale)}
        if lesson.kept is not None:
            more["kept"] = lesson.kept
        return cast(TrainBatch, {**cast(dict[str, Any], batch), **more})


@torch.no_grad()
def reduced(taught: Float[Tensor, "b 3 sh sw"], batch: TrainBatch, scale: int) -> Float[Tensor, "b 3 hq wq"]:
    """The teacher's result for the patches, reduced to the pixels of a batch; above its scale, the original's pixels."""
    target = sample(taught, batch["coord"], batch["cell"], scale).clamp(0, 1)
    pixels = torch.tensor(batch["lq"].shape[2:], device=taught.device)
    # rounding a size may have added half a pixel
    above = (2 / batch["cell"] > pixels * scale + 0.5).any(dim=1)
    return torch.where(above[:, None, None, None], batch["gt"], target)
