"""Times add up, and what they lead to follows from them."""

import pytest
import torch

from realciao.training.progress import LossMeans, Progress


class Clock:
    """A clock that moves only when told to."""

    now = 0.0

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("realciao.training.progress.time.perf_counter", lambda: clock.now)
    return clock


def test_waiting_and_working_are_told_apart(clock: Clock) -> None:
    def slow_items() -> object:
        for item in range(10):
            clock.wait(0.25)
            yield item

    progress = Progress(images_per_step=8)
    for _ in progress.watch(slow_items()):  # type: ignore[arg-type]
        clock.wait(0.75)
    assert progress.summary() == {"images_per_s": 8.0, "data_share": 0.25}
    assert progress.eta(3725) == "1:02:05"


def test_the_first_step_counts_as_soon_as_it_is_worked_on(clock: Clock) -> None:
    progress = Progress(4)
    for _ in progress.watch([1]):
        clock.wait(2.0)
        assert progress.summary()["images_per_s"] == 2.0
        break


def test_nothing_is_claimed_before_the_first_step() -> None:
    assert Progress(4).summary() == {"images_per_s": 0.0, "data_share": 0.0}
    assert Progress(4).eta(10) == "unknown"


def test_a_loss_s_mean_is_over_the_steps_that_had_it() -> None:
    steps = [{"l_d": 1.0}, {"l_g": 4.0, "l_d": 2.0}, {"l_d": 3.0}, {"l_g": 6.0, "l_d": 0.0}]
    means = LossMeans()
    for _ in range(2):  # the second time as if there had been no first
        for losses in steps:
            means.add({name: torch.tensor(value) for name, value in losses.items()})
        assert {name: float(mean) for name, mean in means.take().items()} == {"l_g": 5.0, "l_d": 1.5}
