"""What each of two processes does in the test of distributed training: a run to its end, then three in which the second hangs
before the first step, hangs in a step, and dies in a step. What the first one is told of it goes to standard error.
"""

import functools
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from tiny_run import write_options
from torch.distributed import init_process_group

import realciao.trainer
from realciao.errors import UserError
from realciao.options import load_options
from realciao.stage_run import StageRun
from realciao.trainer import Trainer


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


def main(folder: Path, overrides: list[str]) -> None:
    Accelerator.end_training = lambda self: None  # which would part the processes for good
    is_first = os.environ["RANK"] == "0"
    options = [write_options(folder / f"{os.environ['RANK']}")]
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
        realciao.trainer.rehearse = lambda *_: hang_until(folder / "hang before")
    fail("hang before", "engine.timeout_s=2")
    realciao.trainer.rehearse = lambda *_: None
    second_in_step(lambda: hang_until(folder / "hang within"))
    fail("hang within", "stages.0.total_iter=2")
    second_in_step(lambda: os._exit(9))
    fail("death", "stages.0.total_iter=2")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
