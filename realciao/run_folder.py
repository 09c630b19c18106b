"""The folder of a run: what lies where, whether a new run may use it, and its two logs."""

import contextlib
import json
import logging
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from realciao.checkpoint import latest_state
from realciao.errors import UserError
from realciao.files import atomic_write
from realciao.options import Options, dump_options

logger = logging.getLogger("realciao")


class RunFolder:
    """`experiments_root/name`: options.yml, train.log, metrics.jsonl, tb/, checkpoints/step_N/, models/, and what
    `realciao.comparison` makes: comparison.png, comparison.md, upscaled/.
    """

    def __init__(self, options: Options) -> None:
        self.root = Path(options.path.experiments_root) / options.name
        self.options_file = self.root / "options.yml"
        self.log_file = self.root / "train.log"
        self.metrics_file = self.root / "metrics.jsonl"
        self.trackers = self.root / "tb"
        self.checkpoints = self.root / "checkpoints"
        self.models = self.root / "models"
        self.upscaled = self.root / "upscaled"
        self.picture = self.root / "comparison.png"
        self.table = self.root / "comparison.md"

    def open(self, options: Options, auto_resume: bool, overwrite: bool) -> Path | None:
        """Makes the folder ready and returns the checkpoint to go on from, or None for a fresh start.

        Raises:
            UserError: the folder holds a run and neither flag says what to do with it, or it cannot be written.
        """
        checkpoint = self.newest_checkpoint() if auto_resume else None
        if self.options_file.exists() and not auto_resume:
            if not overwrite:
                raise UserError(
                    f"{self.root}: a run of this name is there; --auto_resume goes on with it, --overwrite starts it again, "
                    "--set name=OTHER starts another"
                )
            self._clear()
        atomic_write(self.options_file, dump_options(options))
        self._forget_rows_after(int(checkpoint.name.removeprefix("step_")) if checkpoint else 0)
        return checkpoint

    def newest_checkpoint(self) -> Path | None:
        """The folder of the last state that was saved whole."""
        return latest_state(self.checkpoints)

    def weights_file(self, stage: str) -> Path:
        """The latest averaged weights of a stage."""
        return self.models / f"net_g_{stage}_latest.safetensors"

    def weights_files(self, stage: str, step: int) -> list[Path]:
        """Every name under which the averaged weights of a step are saved."""
        numbered, newest = (self.models / f"net_g_{name}.safetensors" for name in (f"{stage}_{step}", "latest"))
        return [numbered, self.weights_file(stage), newest]

    def write_row(self, row: dict[str, Any]) -> None:
        """Appends a line to metrics.jsonl; a number that JSON lacks (inf) becomes null."""
        numbers = {key: value for key, value in row.items() if not isinstance(value, float) or math.isfinite(value)}
        line = json.dumps(dict.fromkeys(row) | numbers, allow_nan=False)
        try:
            with open(self.metrics_file, "a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise UserError(f"{self.metrics_file}: cannot be written ({error.strerror})") from error

    @contextlib.contextmanager
    def logging(self, is_main_process: bool) -> Iterator[None]:
        """Sends what the program says to the terminal and to train.log, once for all processes."""
        if not is_main_process:
            yield
            return
        plain, dated = logging.StreamHandler(sys.stdout), logging.FileHandler(self.log_file, encoding="utf-8")
        dated.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        level = logger.level
        logger.setLevel(logging.INFO)
        for handler in (plain, dated):
            logger.addHandler(handler)
        try:
            yield
        finally:
            logger.setLevel(level)
            for handler in (plain, dated):
                logger.removeHandler(handler)
            dated.close()

    def _clear(self) -> None:
        """Removes what a run writes, and nothing else that may lie in the folder."""
        for folder in (self.trackers, self.checkpoints, self.models, self.upscaled):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.options_file, self.log_file, self.metrics_file, self.picture, self.table):
            file.unlink(missing_ok=True)

    def _forget_rows_after(self, step: int) -> None:
        """A run that goes on from a checkpoint makes the later steps again, and their rows with them."""
        if not self.metrics_file.exists():
            return
        lines = self.metrics_file.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        atomic_write(self.metrics_file, "".join(line for line in whole if json.loads(line)["step"] <= step))
