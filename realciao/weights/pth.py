"""Teachers as the checkpoints that programs around BasicSR read."""

import io
from pathlib import Path

import torch

from realciao.files import atomic_write
from realciao.weights.teachers import Teacher


def write_pth(teacher: Teacher, path: str | Path) -> None:
    """Writes a teacher as a .pth of plain tensors, {"params_ema": state dict}.

    RRDBNet and SRVGGNetCompact have BasicSR's names of tensors, other architectures those that their authors gave.

    Args:
        teacher: from `read_teacher`.
        path: the file appears whole or not at all.

    Raises:
        UserError: the weights do not fit their network, or the file cannot be written.
    """
    tensors = {name: tensor.clone() for name, tensor in teacher.build().state_dict().items()}
    whole = io.BytesIO()
    torch.save({"params_ema": tensors}, whole)
    atomic_write(path, whole.getvalue())
