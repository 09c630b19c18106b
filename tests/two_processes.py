"""Distributed training in a test: a run to its end, then one in which the second process dies.

The processes are forked from the test's, as importing everything anew in each takes ten times as long as the runs.
"""

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from tiny_run import write_options

from realciao.errors import UserError
from realciao.options import load_options
from realciao.stage_run import StageRun
from realciao.trainer import Trainer

TIMEOUT_S = 200


def run_two(folder: Path, overrides: list[str]) -> tuple[list[int | None], str]:
    """The exit statuses of both processes, and what they wrote to stderr."""
    # the port is held from its choice on, so no other program can take it
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_enter, args=(rank, store.port, folder, overrides)) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(TIMEOUT_S)
        process.kill()  # if it still runs
        process.join()
    return [process.exitcode for process in both], "".join(_log(folder, rank).read_text() for rank in range(2))


def _log(folder: Path, rank: int) -> Path:
    return folder / f"stderr_{rank}.txt"


def _enter(rank: int, port: int, folder: Path, overrides: list[str]) -> None:
    sys.stderr = _log(folder, rank).open("w", buffering=1)
    torch.set_num_threads(1)  # a forked process deadlocks on the thread pools that its parent has used
    cv2.setNumThreads(0)
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ |= {name: str(number) for name, number in numbers.items()}
    # as torchrun does: the store is there already
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True", "ACCELERATE_USE_CPU": "true"}
    AcceleratorState._reset_state(reset_partial_state=True)  # of the runs of one process before
    GradientState._reset_state()
    _train(rank, folder, overrides)


def _train(rank: int, folder: Path, overrides: list[str]) -> None:
    Accelerator.end_training = lambda self: None  # which would part the processes for good
    options = [write_options(folder / f"{rank}")]
    root = f"path.experiments_root={folder / 'experiments'}"
    Trainer(load_options(options, [root, *overrides])).fit()

    original = StageRun.step

    def dying(self: StageRun, batches: Any, iteration: int) -> Any:
        if iteration == 1 and rank == 1:
            os._exit(9)
        return original(self, batches, iteration)

    StageRun.step = dying
    try:
        Trainer(load_options(options, [root, *overrides, "name=dying", "stages.0.total_iter=3"])).fit()
    except UserError as error:
        print(f"told: {error}", file=sys.stderr)
