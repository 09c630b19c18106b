"""Work shared out to the cores: in order, in the caller's modes, with the threads given back."""

import threading

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from realciao.archs.cores import map_on_cores

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_from_threads_of_one_core_each() -> None:
    barrier = threading.Barrier(2, timeout=30)  # broken unless two items are worked on at a time

    def work(item: int) -> tuple[int, int]:
        barrier.wait()
        return item, torch.get_num_threads()

    with torch.no_grad():
        assert map_on_cores(work, range(8), CPU) == [(i, 1) for i in range(8)]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_threads_work_in_the_callers_mode(mode: type) -> None:
    weight = torch.ones(3, requires_grad=True)
    with mode():
        for result in map_on_cores(lambda item: weight * item, range(4), CPU):
            assert not result.requires_grad
            assert result.is_inference() == (mode is torch.inference_mode)


def test_with_gradients_the_caller_does_it_all() -> None:
    weight = torch.ones(3, requires_grad=True)
    names = []
    results = map_on_cores(lambda item: names.append(threading.current_thread().name) or weight * item, range(4), CPU)
    assert set(names) == {threading.current_thread().name}
    torch.stack(results).sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.full((3,), 6.0))


def test_a_counter_of_operations_misses_none() -> None:
    a = torch.ones(8, 8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        map_on_cores(lambda _: a @ a, range(4), CPU)
    assert counter.get_total_flops() == 4 * 2 * 8**3


def test_an_error_reaches_the_caller_and_the_threads_are_given_back() -> None:
    def fail(item: int) -> None:
        raise MemoryError(f"item {item}")

    with torch.no_grad(), pytest.raises(MemoryError, match="item 0"):
        map_on_cores(fail, range(4), CPU)
    assert torch.get_num_threads() == 2
