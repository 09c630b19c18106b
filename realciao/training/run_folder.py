"""The folder of a run: what lies where, whether a new run may use it, and its two logs."""

import contextlib
import json
import logging
import math
import shutil
import sys
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from realciao.errors import UserError
from realciao.files import atomic_write, remove_folder
from realciao.options.changes import changes
from realciao.options.run import Options, dump_options, load_options
from realciao.training.run_state import load_state, saved_states, set_aside, superfluous

logger = logging.getLogger("realciao")


class RunFolder:
    """`experiments_root/name`: options.yml, train.log, metrics.jsonl, tb/, checkpoints/step_N/, models/, report.html
    and previews/ of `realciao.training.report`, comparison.png, comparison.md and upscaled/ of `realciao.training.comparison`.
    """

    def __init__(self, options: Options) -> None:
        self.root = Path(options.path.experiments_root) / options.name
        self.options_file = self.root / "options.yml"
        self.log_file = self.root / "train.log"
        self.metrics_file = self.root / "metrics.jsonl"
        self.trackers = self.root / "tb"
        self.checkpoints = self.root / "checkpoints"
        self.models = self.root / "models"
        self.report_file = self.root / "report.html"
        self.previews = self.root / "previews"
        self.upscaled = self.root / "upscaled"
        self.picture = self.root / "comparison.png"
        self.table = self.root / "comparison.md"
        self._lock = FileLock(self.root / ".lock")

    def claim(self, options: Options, auto_resume: bool, overwrite: bool) -> Path | None:
        """Makes the folder this process's own and returns the checkpoint to go on from, or None for a fresh start.

        Nothing of an earlier run is changed yet, so that what is refused after this costs nothing either.

        Raises:
            UserError: another process trains here, or the folder holds a run that neither flag says what to do with, or one
                that began with other options.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"{self.root}: another process is training this run; --set name=OTHER starts another"
            ) from error
        except OSError as error:
            raise UserError(f"{self.root}: cannot be written ({error.strerror})") from error
        try:
            return self._choose(options, auto_resume, overwrite)
        except UserError:
            self.release()
            raise

    def _choose(self, options: Options, auto_resume: bool, overwrite: bool) -> Path | None:
        """The checkpoint to go on from, or None, if what is in the folder allows it."""
        checkpoint = self.newest_checkpoint() if auto_resume else None
        if checkpoint and self.options_file.exists():
            step = int(checkpoint.name.removeprefix("step_"))
            try:
                changed = changes(load_options([self.options_file]), options, step)
            except UserError as error:
                raise UserError(f"{self.root}: {error}") from error
            if changed:
                logger.warning("from step %d on with other options: %s", step, ", ".join(changed))
        if self.options_file.exists() and not auto_resume and not overwrite:
            raise UserError(
                f"{self.root}: a run of this name is there; --auto_resume goes on with it, --overwrite starts it again, "
                "--set name=OTHER starts another"
            )
        return checkpoint

    def begin(self, options: Options, step: int, overwrite: bool) -> None:
        """Makes the folder ready for a run that goes on from `step`; with `overwrite`, removes what an earlier one wrote.

        Raises:
            UserError: it cannot be written.
        """
        try:
            if overwrite:
                self._clear()
            for folder in (self.root, self.checkpoints, self.models):
                for left in folder.glob(".*.tmp*"):  # by a process that was killed while it saved
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
        except OSError as error:
            raise UserError(f"{self.root}: cannot be written ({error.strerror})") from error
        atomic_write(self.options_file, dump_options(options))
        self._forget_rows_after(step)

    def release(self) -> None:
        """Lets another process train here."""
        self._lock.release()

    def newest_checkpoint(self) -> Path | None:
        """The newest state that is whole; each that is not is named in the log. None if none was ever saved.

        Raises:
            UserError: states were saved, and none can be read.
        """
        problem, found = "", saved_states(self.checkpoints)
        for folder in found.values():
            try:
                load_state(folder)
            except UserError as error:
                problem = problem or str(error)
                logger.warning("%s: the checkpoint before it is tried", error)
            else:
                return folder
        if problem:
            raise UserError(f"none of the {len(found)} checkpoints can be used: {problem}; --overwrite starts again")
        return None

    def tidy(self, options: Options, best: Iterable[int]) -> None:
        """Removes the checkpoints, with the numbered weights of their steps, that `logger.keep_*` do not ask for.

        The end of each stage stays, and the steps in `best`.
        """
        ends = accumulate(stage.total_iter for stage in options.stages)
        keep = options.logger
        for step in superfluous(
            self.checkpoints, keep_last=keep.keep_last, keep_every=keep.keep_every, others=(*ends, *best)
        ):
            for stage in options.stages:
                self.weights_files(stage.name, step)[0].unlink(missing_ok=True)
            remove_folder(self.checkpoints / f"step_{step}")

    def retreat(self) -> str:
        """Puts aside what was saved after the run was last well; says where one can go on from."""
        healthy, aside = set_aside(self.checkpoints)
        names = f" (later ones were renamed: {', '.join(path.name for path in aside)})" if aside else ""
        if healthy is None:
            return "no healthy state was saved: start again with --overwrite"
        return f"the last healthy state is {healthy}{names}: --auto_resume goes on from it with what you change"

    def weights_file(self, stage: str) -> Path:
        """The latest averaged weights of a stage."""
        return self.models / f"net_g_{stage}_latest.safetensors"

    @property
    def best_weights(self) -> Path:
        """Those of the step that is best by `val.best`."""
        return self.models / "net_g_best.safetensors"

    def validations(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl that hold scores, in their order."""
        if not self.metrics_file.exists():
            return []
        rows = [json.loads(line) for line in self.metrics_file.read_text(encoding="utf-8").splitlines()]
        return [row for row in rows if "val" in row]

    def best_steps(self, name: str, metric: str, lower_better: bool) -> list[int]:
        """Steps by their score on a validation set, the best first; the earlier one where they are equal."""
        rows = [row for row in self.validations() if row["val"] == name and row.get(metric) is not None]
        return [row["step"] for row in sorted(rows, key=lambda row: row[metric] * (1 if lower_better else -1))]

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
        plain, dated = (
            logging.StreamHandler(sys.stdout),
            logging.FileHandler(self.log_file, encoding="utf-8", errors="backslashreplace"),
        )
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
        for folder in (self.trackers, self.checkpoints, self.models, self.previews, self.upscaled):
            if folder.exists():
                shutil.rmtree(folder)
        for file in (self.options_file, self.log_file, self.metrics_file, self.report_file, self.picture, self.table):
            file.unlink(missing_ok=True)

    def _forget_rows_after(self, step: int) -> None:
        """A run that goes on from a checkpoint makes the later steps again, and their rows with them."""
        if not self.metrics_file.exists():
            return
        lines = self.metrics_file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        atomic_write(self.metrics_file, "".join(line for line in lines if 0 <= _step_of(line) <= step))


def _step_of(line: str) -> int:
    """The step of a row, -1 if the line is not a whole row."""
    try:
        return int(json.loads(line)["step"]) if line.endswith("\n") else -1
    except (ValueError, TypeError, KeyError):
        return -1
