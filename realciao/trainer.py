"""The training run: stages in order, each from the averaged weights of the one before, resumable at every checkpoint."""

import logging
import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from types import FrameType
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object, send_to_device
from torch import Tensor

from realciao.archs import build_network
from realciao.batch import TrainBatch
from realciao.checkpoint import load_state, save_state, save_weights
from realciao.comparison import compare, read_photo
from realciao.data import build_train_loader, build_val_set
from realciao.errors import UserError
from realciao.measuring.usage import memory_gib
from realciao.metrics import build_metric
from realciao.options import Options, Stage
from realciao.progress import Progress
from realciao.rehearsal import rehearse, rehearse_validation
from realciao.report import refresh_report
from realciao.run_folder import RunFolder
from realciao.stage_run import StageRun, Weights
from realciao.status import Status, StatusLine
from realciao.trackers import make_trackers, tell_options
from realciao.validation import means, score_network

logger = logging.getLogger("realciao")

STATE_VERSION = 1


class Interrupted(Exception):  # noqa: N818  (it is no error)
    """The run was asked to stop, and its state is saved."""


class Trainer:
    """Trains as the options say. Making it builds and tries all that they name and writes nothing.

    Args:
        options: from `load_options`.
        auto_resume: go on from the last checkpoint of the run of this name, if there is one.
        overwrite: remove the run of this name and start again.

    Raises:
        UserError: a spec, a file or a data set is wrong.
    """

    def __init__(self, options: Options, *, auto_resume: bool = False, overwrite: bool = False) -> None:
        _check_launch()
        self.options = options
        self.run = RunFolder(options)
        trackers = make_trackers(options.logger.trackers, options, self.run)
        self.accelerator = Accelerator(log_with=trackers, project_dir=str(self.run.root))
        self.status_line = StatusLine(self.accelerator.is_main_process)
        # all is built and tried before anything is written, so that a wrong option costs nothing
        with _held_back() as self._said_while_building:
            # read now: the run that is overwritten may be the one that they come from
            self.pretrained = Weights.read(file) if (file := options.path.pretrain_network_g) else None
            self.val_sets = {
                val.name: build_val_set(val.dataset, f"datasets.val.{i}", seed=options.manual_seed)
                for i, val in enumerate(options.datasets.val)
            }
            for index in range(len(options.stages)):
                rehearse(StageRun(options, index), self.accelerator, self.pretrained if index == 0 else None)
            net = build_network(options.network_g).eval()
            for i, val_set in enumerate(self.val_sets.values()):
                rehearse_validation(net, val_set, f"datasets.val.{i}")
            self.metrics = [build_metric(name, f"val.metrics.{i}") for i, name in enumerate(options.val.metrics)]
        if options.compare:
            read_photo(options.compare)
        self.auto_resume = auto_resume
        self.overwrite = overwrite
        self.step = 0
        self.next_draw = 0
        self._resume_state: dict[str, Any] | None = None
        self._stop = False

    def fit(self) -> None:
        """Runs what is left of the stages, then makes the comparison that the options ask for.

        Raises:
            Interrupted: after SIGINT; the state is saved.
            UserError: a run of this name is there and neither flag is given, or the disk will not have it.
        """
        self._claim()
        try:
            # the line first: what is logged must go above it
            with self.status_line, self.run.logging(self.accelerator.is_main_process):
                for record in self._said_while_building if self.accelerator.is_main_process else ():
                    logger.handle(record)
                if self.step:
                    logger.info("resumed at step %d of %d", self.step, self.options.total_iter)
                self.accelerator.init_trackers(self.options.name)
                tell_options(self.accelerator.trackers, self.options)
                with self._interruptible():
                    while self.step < self.options.total_iter:
                        self._run_stage(*self.options.stage_at(self.step))
                self.accelerator.end_training()
                if self.options.compare and self.accelerator.is_main_process:
                    _share_cores(self.accelerator, loader_workers=0)
                    compare(self.options, self.run, self.accelerator.device)
        finally:
            self.run.release()

    def _claim(self) -> None:
        """Makes the run's folder ours, and ready to go on from where it stands."""
        with self.accelerator.main_process_first():
            if self.accelerator.is_main_process:
                checkpoint = self.run.claim(self.options, self.auto_resume, self.overwrite)
            else:
                checkpoint = self.run.newest_checkpoint() if self.auto_resume else None
        if checkpoint:
            state = load_state(checkpoint)
            if state.get("version") != STATE_VERSION:
                raise UserError(f"{checkpoint}: written by another version of RealCiaoSR")
            self.step, self.next_draw, self._resume_state = state["step"], state["next_draw"], state["stage"]
        if self.accelerator.is_main_process:
            self.run.begin(self.options, self.step, self.overwrite)

    def _run_stage(self, index: int, stage: Stage, first_step: int) -> None:
        options, accelerator = self.options, self.accelerator
        self.accelerator.free_memory()
        with _held_back():  # it says what it said at the rehearsal
            stage_run = StageRun(options, index)
        before = self.run.weights_file(options.stages[index - 1].name) if index else None
        stage_run.start(accelerator, Weights.read(before) if before else self.pretrained)
        self.pretrained = None
        if self._resume_state is not None and self.step > first_step:
            stage_run.load_state_dict(self._resume_state)
        self._resume_state = None
        data = stage.train_data
        _share_cores(accelerator, data.num_workers)
        end = first_step + stage.total_iter
        loader = build_train_loader(
            stage_run.dataset,
            batch_size=data.batch_size,
            num_workers=data.num_workers,
            first_draw=self.next_draw,
            first_step=self.step,
            num_steps=end - self.step,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
        )
        draws_per_step = data.batch_size * accelerator.num_processes
        parameters = sum(p.numel() for p in stage_run.net_g.parameters())
        logger.info("stage %s: steps %d to %d, batch %d", stage.name, self.step + 1, end, draws_per_step)
        logger.info("network_g: %s parameters on %s", f"{parameters:,}", accelerator.device)
        progress = Progress(draws_per_step)
        sums: dict[str, Tensor] = {}
        since = self.step
        for batch in progress.watch(loader):
            self._seed_step()
            batch = cast(TrainBatch, send_to_device(batch, accelerator.device, non_blocking=True))
            losses = stage_run.step(batch, self.step - first_step)
            sums = {name: sums.get(name, torch.zeros_like(loss)) + loss for name, loss in losses.items()}
            self.step += 1
            self.next_draw += draws_per_step
            done = self.step == end
            self.status_line.advance(self.step, progress)
            if done or self.step % options.logger.print_every == 0:
                self._log(stage_run, {n: s / (self.step - since) for n, s in sums.items()}, progress, end)
                sums, since = {}, self.step
            if done or self.step % options.val.every == 0:
                self._validate(stage_run)
            stop = self._asked_to_stop()
            if done or stop or self.step % options.logger.save_every == 0:
                self._save(stage_run)
            if done and stage_run.dataset.skipped:
                logger.warning("%d training files could not be used and were skipped", stage_run.dataset.skipped)
            if stop:
                where = f"step {self.step} of {options.total_iter}"
                raise Interrupted(f"interrupted: {where} is saved in {self.run.checkpoints}")

    def _seed_step(self) -> None:
        """What is random inside a network follows from (seed, step, rank), so a resumed run repeats it."""
        ranks = self.accelerator.num_processes
        number = (self.options.manual_seed * 2**32 + self.step) * ranks + self.accelerator.process_index
        torch.manual_seed(number % 2**63)

    def _log(self, stage_run: StageRun, losses: dict[str, Tensor], progress: Progress, end: int) -> None:
        values = {name: self._reduce(loss, "mean") for name, loss in losses.items()}
        if not all(map(math.isfinite, values.values())):
            raise UserError(f"step {self.step}: the loss is not finite ({values}); lower lr in optim_g or optim_d")
        speed = progress.summary()
        lr = float(stage_run.schedulers[0].get_last_lr()[0])
        memory = memory_gib(self.accelerator.device)
        status = Status(
            stage_run.stage.name,
            self.step,
            end,
            values,
            lr,
            **speed,
            memory_gib=memory,
            eta=progress.eta(end - self.step),
        )
        logger.info("%s", status.line())
        self.status_line.show(status, end - stage_run.stage.total_iter)
        self._record(stage_run.stage, {**values, "lr": lr, **speed, "memory_gib": round(memory, 3)})

    def _validate(self, stage_run: StageRun) -> None:
        """Scores the averaged weights on every set; processes share the items."""
        net = stage_run.ema.module.eval()
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        for name, items in self.val_sets.items():
            rows = gather_object(score_network(net, items.items(rank, ranks), self.metrics))
            values = {key: round(value, 6) for key, value in means(rows).items()}
            if not rows:
                logger.warning(
                    "  val %s: nothing was scored; its metrics need a ground truth, or its files are broken", name
                )
            scores = "  ".join(f"{key} {value:.4f}" for key, value in values.items())
            logger.info("  val %s (%d images): %s", name, len(rows), scores)
            self._record(stage_run.stage, {"val": name, **values})
        if self.accelerator.is_main_process:
            refresh_report(self.options, self.run, self.step, net, self.val_sets)

    def _record(self, stage: Stage, values: dict[str, Any]) -> None:
        if self.accelerator.is_main_process:
            self.run.write_row({"step": self.step, "stage": stage.name, **values})
        numbers = {key: value for key, value in values.items() if isinstance(value, float)}
        prefix = f"val/{values['val']}/" if "val" in values else "train/"
        self.accelerator.log({prefix + key: value for key, value in numbers.items()}, step=self.step)

    def _save(self, stage_run: StageRun) -> None:
        """Writes the averaged weights, then the state that says they are done.

        Raises:
            UserError: the disk is full, or will not have it; what was saved before is still there.
        """
        problem = [self._try_to_save(stage_run) if self.accelerator.is_main_process else ""]
        broadcast_object_list(problem)  # every process stops where one cannot go on
        if problem[0]:
            raise UserError(problem[0])

    def _try_to_save(self, stage_run: StageRun) -> str:
        """Saves, on the main process, and says what went wrong."""
        stage, options = stage_run.stage, self.options
        notes = {"name": options.name, "stage": stage.name, "step": self.step, "scale_range": options.scale_range}
        state = {
            "version": STATE_VERSION,
            "step": self.step,
            "next_draw": self.next_draw,
            "stage": stage_run.state_dict(),
        }
        try:
            for path in self.run.weights_files(stage.name, self.step):
                save_weights(stage_run.ema.module, path, **notes)
            save_state(state, self.run.checkpoints / f"step_{self.step}")
        except (UserError, OSError, RuntimeError) as error:  # torch tells of a full disk by a RuntimeError
            problem = f"step {self.step} could not be saved ({error})".splitlines()[0]
            return f"{self.run.root}: {problem}; make room and go on with --auto_resume"
        return ""

    def _asked_to_stop(self) -> bool:
        """Whether any process got the signal; they all stop after the same step."""
        if self.accelerator.num_processes == 1:
            return self._stop
        return self._reduce(torch.tensor(float(self._stop), device=self.accelerator.device), "sum") > 0

    def _reduce(self, value: Tensor, how: str) -> float:
        """A number that every process has, over all of them."""
        return float(cast(Tensor, self.accelerator.reduce(value, how)))

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first Ctrl-C ends the run after the step in hand, with its state saved; the second at once."""

        def on_sigint(_signal: int, _frame: FrameType | None) -> None:
            self._stop = True
            signal.signal(signal.SIGINT, signal.default_int_handler)
            logger.info("stopping after this step; Ctrl-C again to stop at once")

        previous = signal.signal(signal.SIGINT, on_sigint)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


@contextmanager
def _held_back() -> Iterator[list[logging.LogRecord]]:
    """Keeps what is said while the logs of the run are not open yet."""
    handler = MemoryHandler(capacity=sys.maxsize, flushLevel=sys.maxsize)
    logger.addHandler(handler)
    try:
        yield handler.buffer
    finally:
        logger.removeHandler(handler)


def _share_cores(accelerator: Accelerator, loader_workers: int) -> None:
    """Leaves the loader's workers their cores: threads that wait for each other crawl where there are more than cores."""
    if accelerator.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // accelerator.num_processes - loader_workers))


def _check_launch() -> None:
    """`accelerate launch --cpu --num_processes 2` starts one process without a word; the environment gives it away."""
    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    if on_cpu and "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ:
        raise UserError(
            "accelerate launch --cpu starts one process, whatever --num_processes says; for N processes use "
            "ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes N realciao/train.py ..."
        )
