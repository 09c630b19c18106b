"""Accelerate as the options ask for it: precision, processes, cores."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs

from realciao.errors import OptionError, UserError
from realciao.machine.allocator import keep_freed_memory
from realciao.options.run import Options


def make_accelerator(options: Options, trackers: list[Any], project_dir: str) -> Accelerator:
    """The one engine of a run.

    Raises:
        UserError: the launch would run one process for many.
        OptionError: the precision is not to be had here.
    """
    _check_launch()
    engine = options.engine
    if engine.tf32:
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    AcceleratorState._reset_state()  # the precision of a run that this process made before is not this one's
    patience = InitProcessGroupKwargs(timeout=timedelta(seconds=engine.timeout_s))
    try:
        accelerator = Accelerator(
            log_with=trackers,
            project_dir=project_dir,
            mixed_precision=engine.mixed_precision,
            kwargs_handlers=[patience],
        )
    except ValueError as error:
        raise OptionError("engine.mixed_precision", f"{error}; take bf16, or no") from error
    if accelerator.mixed_precision != "no" and not accelerator.native_amp:  # which Accelerate passes over in silence
        precision, device = accelerator.mixed_precision, accelerator.device.type
        raise OptionError("engine.mixed_precision", f"{precision} is not to be had on a {device}; take bf16, or no")
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    return accelerator


def share_cores(accelerator: Accelerator, loader_workers: int) -> None:
    """Leaves the loader's workers their cores: threads that wait for each other crawl where there are more than cores."""
    if accelerator.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // accelerator.num_processes - loader_workers))


@contextmanager
def lost_process_in_one_line(when: Callable[[], str]) -> Iterator[None]:
    """Says in one line that another process has died, or has not answered for `engine.timeout_s`.

    Args:
        when: how far this process was.
    """
    try:
        yield
    except Exception as error:
        if not is_lost_process(error):
            raise
        raise UserError(
            f"{when()}: another process of this run has died or does not answer (its own words are above, or in its "
            "machine's log; engine.timeout_s says how long one waits); go on with --auto_resume"
        ) from error


def is_lost_process(error: BaseException) -> bool:
    """Whether an error says that another process of the run no longer answers."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return False
    words = (
        "connection closed by peer",
        "connection reset by peer",
        "timed out",
        "broken pipe",
        "remote process exited",
    )
    distributed = isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower()
    return distributed or (isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words))


def _check_launch() -> None:
    """`accelerate launch --cpu --num_processes 2` starts one process without a word; the environment gives it away."""
    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    if on_cpu and "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ:
        raise UserError(
            "accelerate launch --cpu starts one process, whatever --num_processes says; for N processes use "
            "ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes N realciao/train.py ..."
        )
