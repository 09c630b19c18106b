"""The training loader: the same batches for any number of workers and processes, and after a resume."""

import logging
import signal
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from realciao.data import SampleIndex, TrainSet, build_train_loader, build_train_set
from realciao.data.loader import TrainSampler

POINTS = {"lq_size": 24, "sample_q": 100}
WINDOW = {"window": 64}


def make(seed: int = 0, **keys: Any) -> TrainSet:
    spec = {"type": "SyntheticDataset", "dataroot_gt": "builtin", "pipeline": "realesrgan", **keys}
    return build_train_set(spec, scale_range=(1, 4), seed=seed, gt_usm=True)


def batches(dataset: TrainSet, **keys: Any) -> list[Any]:
    return list(build_train_loader(dataset, **{"batch_size": 4, "num_workers": 0, "num_steps": 4, **keys}))


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("queries", [POINTS, WINDOW], ids=["points", "window"])
def test_two_workers_make_the_batches_that_none_makes(queries: dict) -> None:
    alone, helped = batches(make(**queries)), batches(make(**queries), num_workers=2)
    assert len(alone) == len(helped) == 4
    assert all(map(same, alone, helped))
    assert not torch.equal(alone[0]["gt"], alone[1]["gt"])
    assert alone[0]["lq"].shape[:2] == (4, 3)


@pytest.mark.parametrize("queries", [POINTS, WINDOW], ids=["points", "window"])
def test_two_processes_share_out_the_batches_of_one(queries: dict) -> None:
    dataset = make(**queries)
    shares = [batches(dataset, batch_size=2, rank=rank, world_size=2) for rank in range(2)]
    for whole, *parts in zip(batches(dataset), *shares, strict=True):
        assert same(whole, {key: torch.cat([part[key] for part in parts]) for key in whole})


def test_a_loader_that_starts_later_goes_on_where_the_first_would() -> None:
    dataset = make(**WINDOW)
    assert all(map(same, batches(dataset)[2:], batches(dataset, first_draw=8, first_step=2, num_steps=2)))


def test_every_draw_is_used_once_and_in_order() -> None:
    per_rank = [TrainSampler(3, 100, 10, 5, rank, 4) for rank in range(4)]
    steps = [[index for share in shares for index in share] for shares in zip(*per_rank, strict=True)]
    assert [index.draw for step in steps for index in step] == list(range(100, 160))
    assert [{index.step for index in step} for step in steps] == [{10}, {11}, {12}, {13}, {14}]


def test_the_batches_of_one_iteration_share_its_draws_and_its_step() -> None:
    whole = TrainSampler(12, 100, 10, 3, 0, 1)
    parts = [list(TrainSampler(2, 100, 10, 3, rank, 3, accum_iter=2)) for rank in range(3)]
    for step, indices in enumerate(whole):
        shared = [index for rank in parts for batch in rank[2 * step : 2 * step + 2] for index in batch]
        assert sorted(shared) == indices


def test_without_a_number_of_steps_the_loader_is_endless() -> None:
    endless = TrainSampler(2, 0, 0, None, 0, 1)
    assert list(islice(endless, 1000, 1001)) == [[SampleIndex(2000, 1000), SampleIndex(2001, 1000)]]


def test_a_batch_is_the_collated_items_of_its_indices() -> None:
    dataset = make(**POINTS)
    expected = default_collate([dataset[SampleIndex(draw, 5)] for draw in range(20, 24)])
    assert same(batches(dataset, first_draw=20, first_step=5, num_steps=1)[0], expected)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs SIGALRM, and fork, which it is about")
def test_workers_start_after_opencv_has_used_threads() -> None:
    def fail(*_: object) -> None:
        raise TimeoutError("a worker hangs")

    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((1000, 1000, 3), np.float32), (51, 51), 8)
    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    try:
        assert len(batches(make(**POINTS), num_workers=2)) == 4
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_starting_a_loader_leaves_torch_s_generator_alone() -> None:
    dataset = make(**POINTS)
    before = torch.get_rng_state()
    batches(dataset, num_workers=1, num_steps=1)
    assert torch.equal(before, torch.get_rng_state())


def test_workers_skip_a_broken_file_report_it_once_between_them_and_it_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    for name in "abc":
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    data = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[: len(data) // 2])
    dataset = make(dataroot_gt=str(tmp_path), lq_size=8, sample_q=10)
    assert dataset.skipped == 0
    handler = logging.StreamHandler()  # standard error, which workers share with us
    logging.getLogger("realciao").addHandler(handler)
    try:
        helped = batches(dataset, num_workers=2, num_steps=8)
    finally:
        logging.getLogger("realciao").removeHandler(handler)
    assert capfd.readouterr().err.count("b.png") in (1, 2), "two workers may meet it in the same instant"
    assert dataset.skipped == 1
    assert all(map(same, helped, batches(dataset, num_steps=8)))
