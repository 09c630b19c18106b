"""The training run: stages in order, each from the averaged weights of the one before, resumable at every checkpoint."""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from logging.handlers import MemoryHandler
from typing import Any, cast

import torch
from accelerate.utils import broadcast_object_list, gather_object, send_to_device
from torch import Tensor

from realciao.batch import EvalItem
from realciao.data import build_train_loader, build_val_set
from realciao.errors import UserError
from realciao.machine.devices import is_out_of_memory
from realciao.machine.usage import memory_gib
from realciao.metrics import build_metric
from realciao.options.run import Options, Stage
from realciao.training.comparison import compare, read_photo
from realciao.training.engine import lost_process_in_one_line, make_accelerator, share_cores
from realciao.training.health import Unhealthy, out_of_memory
from realciao.training.interruption import Interrupted, Interruption
from realciao.training.progress import LossMeans, Progress
from realciao.training.rehearsal import rehearse, rehearse_validation
from realciao.training.report import refresh_report
from realciao.training.run_folder import RunFolder
from realciao.training.run_state import load_state, save_state
from realciao.training.stage_run import StageRun, Weights
from realciao.training.status_line import Status, StatusLine
from realciao.training.trackers import make_trackers, tell_options
from realciao.training.validation import means, score_network
from realciao.weights.checkpoint import save_weights
from realciao.weights.networks import build_network

logger = logging.getLogger("realciao")


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
        self.options = options
        self.run = RunFolder(options)
        trackers = make_trackers(options.logger.trackers, options, self.run)
        before = lost_process_in_one_line(lambda: "before the first step")
        # all is built and tried before anything is written, so that a wrong option costs nothing
        with before, _held_back() as self._said_while_building:
            self.accelerator = make_accelerator(options, trackers, str(self.run.root))
            scaler = self.accelerator.scaler
            self._fresh_scaler: Any = scaler.state_dict() if scaler is not None else None
            # read now: the run that is overwritten may be the one that they come from
            self.pretrained = Weights.read(file) if (file := options.path.pretrain_network_g) else None
            self.val_sets = {
                val.name: build_val_set(val.dataset, f"datasets.val.{i}", seed=options.manual_seed)
                for i, val in enumerate(options.datasets.val)
            }
            for index in range(len(options.stages)):
                rehearse(StageRun(options, index), self.accelerator, self.pretrained if index == 0 else None)
            net = build_network(options.network_g, options.teacher_model).eval()
            for i, val_set in enumerate(self.val_sets.values()):
                rehearse_validation(net, val_set, f"datasets.val.{i}")
            self.metrics = [build_metric(name, f"val.metrics.{i}") for i, name in enumerate(options.val.metrics)]
        if options.compare:
            read_photo(options.compare)
        self.status_line = StatusLine(self.accelerator.is_main_process)
        self.auto_resume = auto_resume
        self.overwrite = overwrite
        self.step = 0
        self.next_draw = 0
        self._resume_state: dict[str, Any] | None = None
        self._unvalidated = False
        self._saved = -1
        self._interruption = Interruption()

    def fit(self) -> None:
        """Runs what is left of the stages, then makes the comparison that the options ask for.

        Raises:
            Interrupted: after SIGINT, SIGTERM or SIGUSR1; the state is saved.
            UserError: a run of this name is there and neither flag is given, the disk will not have it, the memory is too
                small, another process is lost, or the run goes wrong (Unhealthy).
        """
        try:
            with self._in_one_line(), _held_back() as said_while_claiming:
                self._claim()
            # the line first: what is logged must go above it
            with self.status_line, self.run.logging(self.accelerator.is_main_process):
                for record in (
                    [*self._said_while_building, *said_while_claiming] if self.accelerator.is_main_process else ()
                ):
                    logger.handle(record)
                if self.step:
                    logger.info("resumed at step %d of %d", self.step, self.options.total_iter)
                self.accelerator.init_trackers(self.options.name)
                tell_options(self.accelerator.trackers, self.options)
                with self._interruption.watch(), self._in_one_line():
                    while self.step < self.options.total_iter or self._unvalidated:
                        self._run_stage()
                self.accelerator.end_training()
                if self.options.compare and self.accelerator.is_main_process:
                    share_cores(self.accelerator, loader_workers=0)
                    compare(self.options, self.run, self.accelerator.device)
        finally:
            self.run.release()

    def _claim(self) -> None:
        """Makes the run's folder ours, and ready to go on from where it stands."""
        found: list[Any] = [None, ""]
        if self.accelerator.is_main_process:
            try:
                found = [self.run.claim(self.options, self.auto_resume, self.overwrite), ""]
            except UserError as error:
                found = [None, str(error)]
        broadcast_object_list(found)  # one process looks, and all go on from what it found
        checkpoint, problem = found
        if problem:
            raise UserError(problem)
        if checkpoint:
            state = load_state(checkpoint)
            self.step, self.next_draw, self._resume_state = state["step"], state["next_draw"], state["stage"]
            self._unvalidated, self._saved = state["unvalidated"], state["step"]
        if self.accelerator.is_main_process:
            self.run.begin(self.options, self.step, self.overwrite)

    @contextmanager
    def _in_one_line(self) -> Iterator[None]:
        """What goes wrong on the way, as the one line that a user can act on."""
        try:
            with lost_process_in_one_line(lambda: f"step {self.step}"):
                yield
        except Unhealthy as error:
            self.accelerator.wait_for_everyone()
            advice = self.run.retreat() if self.accelerator.is_main_process else ""
            raise UserError(f"{error}; {advice}") from error
        except Exception as error:
            index, stage, _ = self.options.stage_at(self.step)
            if is_out_of_memory(error):
                raise out_of_memory(stage, f"stages.{index}", self.accelerator.num_processes) from error
            raise

    def _run_stage(self) -> None:
        # a run that was stopped before it could validate the last step of a stage does so first
        index, stage, first_step = self.options.stage_at(self.step - self._unvalidated)
        stage_run = self._start_stage(index, first_step)
        if self._unvalidated:
            self._validate(stage_run)
            if stop := self._asked_to_stop():
                self._interrupt(stop)
        end = first_step + stage.total_iter
        images = stage.train_data.batch_size * self.accelerator.num_processes * stage.accum_iter
        if self.step < end:
            stage_run.load_preview()
            logger.info("stage %s: steps %d to %d, batch %d", stage.name, self.step + 1, end, images)
            for line in stage_run.describe():
                logger.info("%s", line)
        progress, losses = Progress(images), LossMeans()
        for parts in progress.watch(self._batches(stage_run, end)):
            self._seed_step()
            losses.add(stage_run.step(parts, self.step - first_step))
            self.step += 1
            self.next_draw += images
            self.status_line.advance(self.step, progress)
            if self.step == end or self.step % self.options.logger.print_every == 0:
                stage_run.judge_colors()
                self._log(stage_run, losses.take(), progress, end)
            self._after_step(stage_run, done=self.step == end)

    def _start_stage(self, index: int, first_step: int) -> StageRun:
        """The stage as it stands at this step, on the device."""
        accelerator = self.accelerator
        accelerator.free_memory()
        with _held_back():  # it says what it said at the rehearsal
            stage_run = StageRun(self.options, index)
        before = self.run.weights_file(self.options.stages[index - 1].name) if index else None
        stage_run.start(accelerator, Weights.read(before) if before else self.pretrained)
        self.pretrained = None
        if accelerator.scaler is not None:  # one serves all stages, and none inherits the scale of another
            accelerator.scaler.load_state_dict(self._fresh_scaler)
        if self._resume_state is not None and self.step > first_step:
            stage_run.load_state_dict(self._resume_state, self.step - first_step)
        self._resume_state = None
        share_cores(accelerator, stage_run.stage.train_data.num_workers)
        return stage_run

    def _batches(self, stage_run: StageRun, end: int) -> Iterator[list[Any]]:
        """The batches of each step up to `end`, on the device."""
        stage, accelerator = stage_run.stage, self.accelerator
        loader = iter(
            build_train_loader(
                stage_run.dataset,
                batch_size=stage.train_data.batch_size,
                num_workers=stage.train_data.num_workers,
                first_draw=self.next_draw,
                first_step=self.step,
                num_steps=end - self.step,
                rank=accelerator.process_index,
                world_size=accelerator.num_processes,
                accum_iter=stage.accum_iter,
            )
        )
        while batches := list(islice(loader, stage.accum_iter)):
            yield [send_to_device(batch, accelerator.device, non_blocking=True) for batch in batches]

    def _after_step(self, stage_run: StageRun, done: bool) -> None:
        """Saves, validates and stops, where the step or a signal asks for it; `done` after a stage's last step."""
        self._unvalidated = done or self.step % self.options.val.every == 0
        stop = self._asked_to_stop()
        if done or stop or self.step % self.options.logger.save_every == 0:
            self._save(stage_run)
        if self._unvalidated and not stop:
            self._validate(stage_run)
            stop = self._asked_to_stop()
        if done and stage_run.dataset.skipped:
            logger.warning("%d training files could not be used and were skipped", stage_run.dataset.skipped)
        if stop:
            self._save(stage_run)
            self._interrupt(stop)

    def _interrupt(self, number: int) -> None:
        where = f"step {self.step} of {self.options.total_iter}"
        raise Interrupted(f"interrupted: {where} is saved in {self.run.checkpoints}", number)

    def _seed_step(self) -> None:
        """What is random inside a network follows from (seed, step, rank), so a resumed run repeats it."""
        ranks = self.accelerator.num_processes
        number = (self.options.manual_seed * 2**32 + self.step) * ranks + self.accelerator.process_index
        torch.default_generator.manual_seed(number % 2**63)  # what torch.manual_seed does beside is slow
        if self.accelerator.device.type != "cpu":
            torch.get_device_module(self.accelerator.device).manual_seed(number % 2**63)

    def _log(self, stage_run: StageRun, losses: dict[str, Tensor], progress: Progress, end: int) -> None:
        values = {name: self._mean(loss) for name, loss in losses.items()}
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
        skipped = stage_run.health.total_skipped
        row = {**values, "lr": lr, **speed, "memory_gib": round(memory, 3)}
        self._record(stage_run.stage, {**row, **({"skipped": skipped} if skipped else {})})

    def _validate(self, stage_run: StageRun) -> None:
        """Scores the network on every set that this step has no scores of yet, unless the run is asked to stop meanwhile;
        processes share the items. A step among the best is saved.
        """
        averaged = self.options.val.weights == "ema"
        net = (stage_run.ema.module if averaged else stage_run.raw_g).eval()
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        done: list[set[str]] = [set()]
        if self.accelerator.is_main_process:  # another might read a line that is being written
            done = [{row["val"] for row in self.run.validations() if row["step"] == self.step}]
        broadcast_object_list(done)
        for name, items in self.val_sets.items():
            if name in done[0]:
                continue
            rows = gather_object(score_network(net, self._until_stopped(items.items(rank, ranks)), self.metrics))
            if self._asked_to_stop():
                break
            values = {key: round(value, 6) for key, value in means(rows).items()}
            if not rows:
                logger.warning(
                    "  val %s: nothing was scored; its metrics need a ground truth, or its files are broken", name
                )
            scores = "  ".join(f"{key} {value:.4f}" for key, value in values.items())
            logger.info("  val %s (%d images): %s", name, len(rows), scores)
            self._record(stage_run.stage, {"val": name, **values})
        else:
            self._unvalidated = False
            if self.step in self._best_steps():
                self._save(stage_run)
            if self.accelerator.is_main_process:
                refresh_report(self.options, self.run, self.step, net, self.val_sets)
        stage_run.set_train()

    def _until_stopped(self, items: Iterable[EvalItem]) -> Iterator[EvalItem]:
        for item in items:
            if self._interruption.number:
                return
            yield item

    def _best_steps(self) -> list[int]:
        """The steps that `logger.keep_best` keeps, the best first; the same on every process."""
        steps: list[list[int]] = [[]]
        if self.options.val.best and self.accelerator.is_main_process:
            name, metric = self.options.val.best.split("/")
            lower_better = next(one.lower_better for one in self.metrics if one.name == metric)
            steps = [self.run.best_steps(name, metric, lower_better)[: self.options.logger.keep_best]]
        broadcast_object_list(steps)
        return steps[0]

    def _record(self, stage: Stage, values: dict[str, Any]) -> None:
        if self.accelerator.is_main_process:
            self.run.write_row({"step": self.step, "stage": stage.name, **values})
        numbers = {key: value for key, value in values.items() if isinstance(value, float)}
        prefix = f"val/{values['val']}/" if "val" in values else "train/"
        self.accelerator.log({prefix + key: value for key, value in numbers.items()}, step=self.step)

    def _save(self, stage_run: StageRun) -> None:
        """Writes the averaged weights, then the state that says they are done, then removes what need not be kept.

        What is there of this step is left as it is, but for the weights of the best step.

        Raises:
            UserError: the disk is full, or will not have it; what was saved before is still there.
        """
        best = self._best_steps()
        problem = [self._try_to_save(stage_run, best) if self.accelerator.is_main_process else ""]
        broadcast_object_list(problem)  # every process stops where one cannot go on
        if problem[0]:
            raise UserError(problem[0])
        self._saved = self.step

    def _try_to_save(self, stage_run: StageRun, best: list[int]) -> str:
        """Saves, on the main process, and says what went wrong."""
        stage, options = stage_run.stage, self.options
        notes = {"name": options.name, "stage": stage.name, "step": self.step, "scale_range": options.scale_range}
        state = {
            "step": self.step,
            "next_draw": self.next_draw,
            "unvalidated": self.step % options.val.every == 0 or self._ends_stage(),
            "stage": stage_run.state_dict(),
        }
        files = [] if self._saved == self.step else self.run.weights_files(stage.name, self.step)
        files += [self.run.best_weights] if best[:1] == [self.step] else []
        try:
            for path in files:
                save_weights(stage_run.ema.module, path, **notes)
            if self._saved != self.step:
                folder = self.run.checkpoints / f"step_{self.step}"
                save_state(state, folder, healthy=stage_run.health.is_well)
            self.run.tidy(options, best)
        except (UserError, OSError, RuntimeError) as error:  # torch tells of a full disk by a RuntimeError
            problem = f"step {self.step} could not be saved ({error})".splitlines()[0]
            return f"{self.run.root}: {problem}; make room and go on with --auto_resume"
        return ""

    def _ends_stage(self) -> bool:
        """Whether the last step was a stage's last."""
        return self.step == self.options.total_iter or self.options.stage_at(self.step)[2] == self.step

    def _asked_to_stop(self) -> int:
        """The signal that any process got, 0 if none did; they all stop after the same step."""
        if self.accelerator.num_processes == 1:  # no trip to the device in each step
            return self._interruption.number
        number = torch.tensor([self._interruption.number], device=self.accelerator.device)
        return int(cast(Tensor, self.accelerator.gather(number)).max())

    def _mean(self, value: Tensor) -> float:
        """Of a number that every process has, over all of them."""
        return float(cast(Tensor, self.accelerator.reduce(value, "mean")))


@contextmanager
def _held_back() -> Iterator[list[logging.LogRecord]]:
    """Keeps what is said while the logs of the run are not open yet."""
    handler = MemoryHandler(capacity=sys.maxsize, flushLevel=sys.maxsize)
    logger.addHandler(handler)
    try:
        yield handler.buffer
    finally:
        logger.removeHandler(handler)
