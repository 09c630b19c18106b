"""One step of a stage before the run: what a spec's class accepts may still fail at its first use."""

import traceback
from itertools import islice
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device

from realciao.coords import make_axis, make_cell
from realciao.data import ValSet
from realciao.errors import OptionError, UserError
from realciao.images.reading import to_tensor
from realciao.training.engine import is_lost_process
from realciao.training.stage_run import StageRun, Weights

VALIDATED = 4
"""Images of a validation set that are tried."""
CORNER_PX = 16


def rehearse(stage_run: StageRun, accelerator: Accelerator, weights: Weights | None) -> None:
    """Makes a step on two samples, in which generator and discriminator both move; the stage is of no use after that.

    Raises:
        OptionError: something fails, at the path of the part that it fails in.
        UserError: no sample can be made, or the weights are another network's.
    """
    stage_run.start(accelerator, weights)
    batch = send_to_device(stage_run.dataset.first(2), accelerator.device)
    try:
        losses = full_step(stage_run, batch)
        for name, loss in losses.items():
            if not loss.isfinite():
                raise OptionError(stage_run.where, f"the first step's {name} is {loss.item()}")
    except OptionError:
        raise
    except Exception as error:  # a class of any library may fail in any way
        if is_lost_process(error):
            raise
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        problem = f"its first step fails: {kind}{str(error).strip().partition(chr(10))[0]}"
        raise OptionError(_culprit(stage_run, error), problem) from error
    finally:
        accelerator.free_memory()


def full_step(stage_run: StageRun, batch: Any, batches: int = 1) -> dict[str, torch.Tensor]:
    """A step of a started stage, with the loader's batch so many times, in which generator and discriminator both move."""
    stage = stage_run.stage
    return stage_run.step([batch] * batches, -(-stage.net_d_init_iters // stage.net_d_iters) * stage.net_d_iters)


@torch.inference_mode()
def rehearse_validation(net: Any, val_set: ValSet, where: str) -> None:
    """Decodes a pixel of a corner of the first few images: enough to know whether the network makes such sizes.

    Raises:
        OptionError: it does not, at the path of the validation set.
    """
    for item in islice(val_set, VALIDATED):
        corner = to_tensor(np.ascontiguousarray(item["lq"][:CORNER_PX, :CORNER_PX]))
        height, width = item["lq"].shape[:2]
        prepared = net.prepare(corner, frame=(0, 0, height, width))
        ys, xs = (make_axis(n)[:1] for n in item["size"])
        try:
            net.query_grid(prepared, ys, xs, make_cell(item["size"])[None])
        except UserError as error:
            raise OptionError(where, f"{item['name']}: {error}") from error


def _culprit(stage_run: StageRun, error: Exception) -> str:
    """The path of the part whose code was running, the stage's own if none of its parts was."""
    paths = {id(part): path for path, part in stage_run.parts_by_path().items()}
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        path = paths.get(id(frame.f_locals.get("self")))
        if path:
            return path
    return stage_run.where
