"""The loader of training batches: numbered samples, so that no number of workers or processes changes a batch."""

import itertools
import signal
from collections.abc import Iterator
from typing import Any, cast

import cv2
import torch
from torch.utils.data import DataLoader, Sampler

from realciao.data.datasets import SampleIndex, TrainSet


class TrainSampler(Sampler[list[SampleIndex]]):
    """The indices of one process's share of each global batch.

    Step t of the run uses `accum_iter * batch_size * world_size` draws in a row, in `accum_iter` batches of
    `batch_size * world_size`; of each, process `rank` takes the run of `batch_size` that starts at `rank * batch_size`.

    Args:
        batch_size: samples per process and step.
        first_draw: number of the first draw that no earlier step has used.
        first_step: number of the first step.
        num_steps: steps to yield; None is endless.
        rank: of this process.
        world_size: number of processes.
        accum_iter: batches of a step.
    """

    def __init__(
        self,
        batch_size: int,
        first_draw: int,
        first_step: int,
        num_steps: int | None,
        rank: int,
        world_size: int,
        accum_iter: int = 1,
    ) -> None:
        self.batch_size = batch_size
        self.first_draw = first_draw
        self.first_step = first_step
        self.num_steps = num_steps
        self.rank = rank
        self.world_size = world_size
        self.accum_iter = accum_iter

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        for done in itertools.count() if self.num_steps is None else range(self.num_steps):
            for part in range(done * self.accum_iter, (done + 1) * self.accum_iter):
                start = self.first_draw + (part * self.world_size + self.rank) * self.batch_size
                yield [SampleIndex(draw, self.first_step + done) for draw in range(start, start + self.batch_size)]


def build_train_loader(
    dataset: TrainSet,
    *,
    batch_size: int,
    num_workers: int,
    first_draw: int = 0,
    first_step: int = 0,
    num_steps: int | None = None,
    rank: int = 0,
    world_size: int = 1,
    accum_iter: int = 1,
) -> "DataLoader[Any]":
    """Batches of a training set for one process, see TrainSampler, for its `finish`; iterate it once, do not shard it again.

    With workers, OpenCV is put on one thread in this process too.
    """
    if num_workers:
        cv2.setNumThreads(0)  # a forked worker deadlocks on the thread pool that its parent has used
    sampler = TrainSampler(batch_size, first_draw, first_step, num_steps, rank, world_size, accum_iter)
    return DataLoader(
        dataset,
        batch_sampler=cast("Sampler[list[int]]", sampler),  # torch's annotation knows integer indices only
        num_workers=num_workers,
        collate_fn=dataset.collate,
        worker_init_fn=_init_worker,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # else starting the loader advances torch's global RNG
    )


def _init_worker(worker: int) -> None:
    """Leaves parallelism to the workers (torch sees to its own threads) and signals to the main process.

    A terminal and a scheduler send theirs to all processes of a job; the main process needs its workers to end the step.
    """
    cv2.setNumThreads(0)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
