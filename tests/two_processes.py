"""What each of two processes does in the test of distributed training: a run to its end, then one in which the second dies."""

import os
import sys
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from tiny_run import write_options

from realciao.errors import UserError
from realciao.options import load_options
from realciao.stage_run import StageRun
from realciao.trainer import Trainer


def main(folder: Path, overrides: list[str]) -> None:
    Accelerator.end_training = lambda self: None  # which would part the processes for good
    options = [write_options(folder / f"{os.environ['RANK']}")]
    root = f"path.experiments_root={folder / 'experiments'}"
    Trainer(load_options(options, [root, *overrides])).fit()

    original = StageRun.step

    def dying(self: StageRun, batches: Any, iteration: int) -> Any:
        if iteration == 1 and os.environ["RANK"] == "1":
            os._exit(9)
        return original(self, batches, iteration)

    StageRun.step = dying
    try:
        Trainer(load_options(options, [root, *overrides, "name=dying", "stages.0.total_iter=3"])).fit()
    except UserError as error:
        print(f"told: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
