"""One step of a stage before the run: what a spec's class accepts may still fail at its first use."""

import traceback
from typing import cast

from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch.utils.data import default_collate

from realciao.batch import TrainBatch
from realciao.data import SampleIndex
from realciao.errors import OptionError, UserError
from realciao.stage_run import StageRun, Weights


def rehearse(stage_run: StageRun, accelerator: Accelerator, weights: Weights | None) -> None:
    """Makes a step on two samples, in which generator and discriminator both move; the stage is of no use after that.

    Raises:
        OptionError: something fails, at the path of the part that it fails in.
        UserError: no sample can be made, or the weights are another network's.
    """
    stage = stage_run.stage
    stage_run.start(accelerator, weights)
    samples = [stage_run.dataset[SampleIndex(draw, step=0)] for draw in range(2)]
    batch = cast(TrainBatch, send_to_device(default_collate(samples), accelerator.device))
    try:
        stage_run.step(batch, -(-stage.net_d_init_iters // stage.net_d_iters) * stage.net_d_iters)
    except UserError:
        raise
    except Exception as error:  # a class of any library may fail in any way
        first_line = str(error).strip().partition("\n")[0]
        problem = f"its first step fails: {type(error).__name__}: {first_line}"
        raise OptionError(_culprit(stage_run, error), problem) from error
    finally:
        accelerator.free_memory()


def _culprit(stage_run: StageRun, error: Exception) -> str:
    """The path of the part whose code was running, the stage's own if none of its parts was."""
    paths = {id(part): path for path, part in stage_run.parts_by_path().items()}
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        path = paths.get(id(frame.f_locals.get("self")))
        if path:
            return path
    return stage_run.where
