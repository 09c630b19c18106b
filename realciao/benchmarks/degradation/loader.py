"""What degradation costs a training: the quickstart's first stage on live batches, and on the same kind kept in memory."""

import argparse
import os
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from typing import Any

import torch
from accelerate import Accelerator

from realciao.benchmarks.instruments.laps import Laps, clock
from realciao.benchmarks.instruments.report import Figure, Table
from realciao.benchmarks.instruments.rounds import interleave, median_ratio
from realciao.benchmarks.instruments.targets import Target, judge
from realciao.data import build_train_loader
from realciao.machine.description import REPOSITORY
from realciao.options.run import load_options
from realciao.training.stage_run import StageRun

OPTIONS = REPOSITORY / "options" / "quickstart.yml"
SETTLING_STEPS = 8
"""Untimed before each turn, until the workers' queues are as full as they stay."""
CACHED_BATCHES = 16
WAYS = ("live", "cached")
TARGETS = (Target({}, "share lost", 0.15, at_least=False),)
NOTE = (
    "Wall seconds. live: workers crop, degrade and collate while the training goes on; cached: the same training, threads and "
    "all, on batches kept in memory, with the workers at rest. share lost: of the cached rate, median of the rounds' ratios. "
    "CPU seconds: of a batch and of a step, each alone in one process; computed loss: what follows from them where nothing "
    "else runs, which a busy machine's wall clock cannot tell."
)


def cost(args: argparse.Namespace) -> float:
    """Of the table, on the scale of speed's: crops of a million pixels."""
    return 0.3 * args.rounds * len(WAYS) * (args.steps + SETTLING_STEPS)


def tables(args: argparse.Namespace, done: Callable[[float, str], None]) -> Iterator[Table]:
    """One row."""
    workers = args.workers or os.cpu_count() or 1
    # as the trainer shares the cores
    torch.set_num_threads(max(1, (os.cpu_count() or 1) - workers))
    options = load_options([OPTIONS])
    stage_run = StageRun(options, 0)
    stage_run.start(Accelerator(cpu=True), None)
    data = stage_run.stage.train_data
    loader = build_train_loader(stage_run.dataset, batch_size=data.batch_size, num_workers=workers)
    live = iter(loader)
    here = build_train_loader(stage_run.dataset, batch_size=data.batch_size, num_workers=0)
    meter = clock(torch.device("cpu"))
    loading = Laps(meter)
    with loading.lap("whole"):
        kept = list(islice(here, CACHED_BATCHES))
    batches = {"live": live, "cached": cycle(kept)}
    turns = {way: partial(_turn, stage_run, batches[way], args.steps, meter) for way in WAYS}
    told = cost(args) / (args.rounds * len(WAYS))
    laps = interleave(turns, args.rounds, lambda way: done(told, f"loader: {way}"))
    del live, loader  # ends the workers
    seconds = {way: [float(lap.spent["whole"][0]) / args.steps for lap in laps[way]] for way in WAYS}
    training = statistics.median(float(lap.spent["whole"][1]) / args.steps for lap in laps["cached"])
    cpu = float(loading.spent["whole"][1]) / CACHED_BATCHES
    rate = {way: data.batch_size / statistics.median(of_way) for way, of_way in seconds.items()}
    row: dict[str, Figure] = {f"{way} images/s": rate[way] for way in WAYS}
    row |= {"share lost": 1 - median_ratio(seconds["cached"], seconds["live"])}
    row |= {"loading CPU s": cpu, "training CPU s": training}
    row |= {"computed loss": computed_loss(cpu, training, workers, os.cpu_count() or 1)}
    threads = torch.get_num_threads()
    title = f"Training of the quickstart, batch {data.batch_size}, {workers} workers, {threads} threads for the network"
    yield Table("loader", title, [row], NOTE)
    yield Table("loader", "Targets", judge(TARGETS, [row]))


def computed_loss(loading: float, training: float, workers: int, cores: int) -> float:
    """The share of the cached rate that is lost at best, from the CPU seconds of a batch and of a step on one thread.

    A step takes what training takes, but not less than all work on all cores, nor than the workers need for a batch.
    """
    return 1 - training / max(training, (training + loading) / cores, loading / min(workers, cores))


def _turn(stage_run: StageRun, batches: Iterator[Any], steps: int, meter: Any) -> Laps:
    for batch in islice(batches, SETTLING_STEPS):
        stage_run.step([batch], 0)
    laps = Laps(meter)
    with laps.lap("whole"):
        for batch in islice(batches, steps):
            stage_run.step([batch], 0)
    return laps
