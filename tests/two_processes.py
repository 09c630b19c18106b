"""Distributed training in a test: a run to its end, then three in which the second process hangs before the first step, hangs
in a step, and dies in a step.

The processes are forked from the test's, as importing everything anew in each takes ten times as long as the runs.
"""

import functools
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from tiny_run import write_options
from torch.distributed import init_process_group

import realciao.training.trainer
from realciao.errors import UserError
from realciao.options.run import load_options
from realciao.training.stage_run import StageRun
from realciao.training.trainer import Trainer

TIMEOUT_S = 200


def run_two(folder: Path, overrides: list[str]) -> tuple[list[int | None], str]:
    """The exit statuses of both processes, and what they wrote to stderr."""
    store = open_store()
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_enter, args=(rank, store.port, folder, overrides)) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(TIMEOUT_S)
        process.kill()  # if it still runs
        process.join()
    return [process.exitcode for process in both], "".join(_log(folder, rank).read_text() for rank in range(2))


def open_store() -> Any:
    """Where two processes meet; the port is held from its choice on, so no other program can take it."""
    return torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def _log(folder: Path, rank: int) -> Path:
    return folder / f"stderr_{rank}.txt"


def _enter(rank: int, port: int, folder: Path, overrides: list[str]) -> None:
    sys.stderr = _log(folder, rank).open("w", buffering=1)
    enter_process(rank, port)
    _train(rank, folder, overrides)


def enter_process(rank: int, port: int) -> None:
    """Makes a forked process one of two that train together."""
    torch.set_num_threads(1)  # a forked process deadlocks on the thread pools that its parent has used
    cv2.setNumThreads(0)
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ |= {name: str(number) for name, number in numbers.items()}
    # as torchrun does: the store is there already
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True", "ACCELERATE_USE_CPU": "true"}
    AcceleratorState._reset_state(reset_partial_state=True)  # of the runs of one process before
    GradientState._reset_state()


def _train(rank: int, folder: Path, overrides: list[str]) -> None:
    Accelerator.end_training = lambda self: None  # which would part the processes for good
    is_first = rank == 0
    options = [write_options(folder / f"{rank}")]
    overrides = [f"path.experiments_root={folder / 'experiments'}", *overrides]
    Trainer(load_options(options, overrides)).fit()

    def fail(what: str, *more: str) -> None:
        """A run that ends badly for both; the second process learns from a file that the first has been told."""
        part(folder / f"meeting of {what}")
        try:
            Trainer(load_options(options, [*overrides, "name=ill", *more]), overwrite=True).fit()
        except UserError as error:
            if is_first:
                print(f"told of {what}: {error}", file=sys.stderr, flush=True)
                (folder / what).touch()
        except HungLongEnough:
            pass

    def second_in_step(act: Callable[[], None]) -> None:
        def step(self: StageRun, batches: Any, iteration: int) -> Any:
            if iteration == 1:
                # only now, as a busy machine builds as long as it likes
                torch.distributed.set_timeout(timedelta(seconds=2))
                if not is_first:
                    act()
            return original(self, batches, iteration)

        StageRun.step = step

    original = StageRun.step
    if not is_first:
        realciao.training.trainer.rehearse = lambda *_: hang_until(folder / "hang before")
    fail("hang before", "engine.timeout_s=2")
    realciao.training.trainer.rehearse = lambda *_: None
    second_in_step(lambda: hang_until(folder / "hang within"))
    fail("hang within", "stages.0.total_iter=2")
    second_in_step(lambda: os._exit(9))
    fail("death", "stages.0.total_iter=2")


class HungLongEnough(BaseException):
    """The other process has given up waiting."""


def part(meeting: Path) -> None:
    """Lets the next run have connections and a timeout of its own; the launcher's store remembers the old ones."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)
    rank, ranks = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))
    where = {"init_method": meeting.as_uri(), "rank": rank, "world_size": ranks}
    torch.distributed.init_process_group = functools.partial(init_process_group, **where)


def hang_until(file: Path) -> None:
    while not file.exists():
        time.sleep(0.02)
    raise HungLongEnough
