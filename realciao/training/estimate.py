"""What a run will take, measured on a few of its own steps at full size before it begins; nothing is written."""

import os
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from statistics import median
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn

from realciao.data import ValSet
from realciao.errors import OptionError
from realciao.figures.markdown import table
from realciao.machine.usage import GIB, forget_peak, peak_gib
from realciao.metrics.metric import Metric
from realciao.options.run import Options, Stage
from realciao.training.rehearsal import full_step
from realciao.training.stage_run import StageRun, Weights
from realciao.training.validation import score_network

TIMED_STEPS = 3
"""The median counts; one more goes before, in which memory is allocated."""


class StageCost(NamedTuple):
    """What a stage takes."""

    stage: Stage
    processes: int
    parameters_g: int
    parameters_d: int
    step_s: float
    """A step of this process, with its batches at hand."""
    step_cpu_s: float
    """CPU seconds of all its threads."""
    data_s: float
    """CPU seconds that making its batches takes one worker."""
    memory_gib: float
    state_bytes: int
    weights_bytes: int
    val_s: float
    """A validation of all sets."""
    teacher_s: float = 0.0
    """Of a step, the share of a live teacher."""

    @property
    def images(self) -> int:
        """Of a step, over all processes."""
        return self.stage.train_data.batch_size * self.stage.accum_iter * self.processes

    def iteration_s(self, on_cpu: bool, cores: int) -> float:
        """Of the run: the slowest of step and loader, and on a CPU not less than both together take of its cores."""
        workers = self.stage.train_data.num_workers
        if not workers:
            return self.step_s + self.data_s
        bound = (self.step_cpu_s + self.data_s) * self.processes / cores if on_cpu else 0.0
        return max(self.step_s, self.data_s / workers, bound)

    def files_bytes(self, save_every: int, keep_last: int | None) -> int:
        """Checkpoints and weights of the stage that are kept, and one more while it is written."""
        saves = -(-self.stage.total_iter // save_every)
        kept = saves if keep_last is None else min(saves, keep_last + 1)
        return kept * self.state_bytes + saves * self.weights_bytes + 2 * self.weights_bytes


def measure_stage(
    options: Options,
    index: int,
    accelerator: Accelerator,
    weights: Weights | None,
    val_sets: Sequence[ValSet],
    metrics: Sequence[Metric],
) -> StageCost:
    """Makes some steps of a stage with its full batch, and scores an image of each validation set.

    Raises:
        OptionError: the batch does not fit the memory.
    """
    device = accelerator.device
    forget_peak(device)
    stage_run = StageRun(options, index)
    stage_run.start(accelerator, weights)
    stage = stage_run.stage
    data_s, batch = _cpu_timed(lambda: stage_run.dataset.first(stage.train_data.batch_size))
    batch = send_to_device(batch, device)
    try:
        times = [_timed(lambda: full_step(stage_run, batch, stage.accum_iter), device) for _ in range(TIMED_STEPS + 1)][
            1:
        ]
        memory = peak_gib(device)
    except (torch.OutOfMemoryError, MemoryError) as error:
        size = stage.train_data.batch_size
        problem = f"{size} does not fit the memory; try {max(1, size // 2)}"
        raise OptionError(f"stages.{index}.datasets.train.batch_size", problem) from error
    ema = stage_run.ema.module.eval()
    val_s = sum(_validation_s(ema, val_set, metrics, device) for val_set in val_sets)
    cost = StageCost(
        stage,
        accelerator.num_processes,
        sum(p.numel() for p in stage_run.raw_g.parameters()),
        sum(p.numel() for p in stage_run.raw_d.parameters()) if stage_run.raw_d is not None else 0,
        median(wall for wall, _ in times),
        median(cpu for _, cpu in times),
        stage.accum_iter * data_s,
        memory,
        _bytes(stage_run.state_dict()),
        _bytes(ema.state_dict()),
        val_s / accelerator.num_processes,
        _teacher_s(stage_run, batch, device),
    )
    accelerator.free_memory()
    return cost


def describe_costs(options: Options, costs: Sequence[StageCost], device: torch.device) -> str:
    """The costs as a table, their sums below it.

    Args:
        options: of the run.
        costs: of its stages.
        device: that they were measured on.
    """
    cores, on_cpu = os.cpu_count() or 1, device.type == "cpu"
    rows, total_s, total_bytes = [], 0.0, 0
    for cost in costs:
        stage = cost.stage
        iteration = cost.iteration_s(on_cpu, cores)
        validations = stage.total_iter // options.val.every + (stage.total_iter % options.val.every > 0)
        took = stage.total_iter * iteration + validations * cost.val_s
        files = cost.files_bytes(options.logger.save_every, options.logger.keep_last)
        total_s, total_bytes = total_s + took, total_bytes + files
        rows.append(
            [
                stage.name,
                f"{stage.total_iter:,}",
                str(cost.images),
                _millions(cost.parameters_g),
                _millions(cost.parameters_d) if cost.parameters_d else "-",
                f"{cost.step_s:.3g} s",
                f"{cost.data_s:.3g} s",
                f"{cost.images / iteration:.3g}",
                f"{cost.memory_gib:.2f} GiB",
                f"{validations} x {_duration(cost.val_s)}",
                _duration(took),
                f"{files / GIB:.2f} GiB",
            ]
        )
    header = ["stage", "iterations", "batch", "network_g", "network_d", "step", "its data", "images/s", "memory"]
    text = table([*header, "validation", "wall time", "disk"], rows)
    where = f"{costs[0].processes} process{'es' if costs[0].processes > 1 else ''} on {device}"
    slow = [cost.stage.name for cost in costs if _waits(cost)]
    advice = (
        f"\n{', '.join(slow)}: the loader is slower than the step; raise datasets.train.num_workers" if slow else ""
    )
    advice += "".join(
        f"\n{cost.stage.name}: the teacher takes {cost.teacher_s:.3g} s of a step's {cost.step_s:.3g} s; with "
        "pairs made once by `prepare_data.py teach` it need not run"
        for cost in costs
        if cost.teacher_s
    )
    return f"{text}\nin all about {_duration(total_s)} and {total_bytes / GIB:.2f} GiB, {where}{advice}"


def _validation_s(net: nn.Module, val_set: ValSet, metrics: Sequence[Metric], device: torch.device) -> float:
    """Seconds of all items, by the second one: with the first, libraries are imported and memory is allocated."""
    items = [item for _, item in zip(range(2), val_set, strict=False)]
    if not items:
        return 0.0
    score_network(net, items[:1], metrics)
    return _timed(lambda: score_network(net, items[-1:], metrics), device)[0] * len(val_set)


def _teacher_s(stage_run: StageRun, batch: Any, device: torch.device) -> float:
    """Seconds of a step in which a live teacher makes its targets."""
    teacher = stage_run.live_teacher
    if teacher is None:
        return 0.0
    finished = stage_run.dataset.finish(batch)
    return stage_run.stage.accum_iter * _timed(lambda: teacher.add_to(finished), device)[0]


def _waits(cost: StageCost) -> bool:
    workers = cost.stage.train_data.num_workers
    return workers > 0 and cost.data_s / workers > 1.2 * cost.step_s


def _timed(call: Any, device: torch.device) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a call, the device's work included."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def _cpu_timed(call: Any) -> tuple[float, Any]:
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def _tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    for value in state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ():
        yield from _tensors(value)


def _bytes(state: Any) -> int:
    return sum(tensor.nbytes for tensor in _tensors(state))


def _millions(count: int) -> str:
    return f"{count / 1e6:.3g} M"


def _duration(seconds: float) -> str:
    """Two figures of it: 5 s, 12 min, 3 h 20 min, 9 d 4 h."""
    if seconds < 60:
        return f"{seconds:.2g} s"
    whole = timedelta(seconds=round(seconds))
    hours, minutes = divmod(whole.seconds // 60, 60)
    if whole.days:
        return f"{whole.days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole.seconds % 60} s"
