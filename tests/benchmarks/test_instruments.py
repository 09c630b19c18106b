"""The tools of the benchmarks against closed forms and made-up meters."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from realciao.benchmarks.instruments.judges import plain
from realciao.benchmarks.instruments.laps import Laps
from realciao.benchmarks.instruments.macs import MacCounter
from realciao.benchmarks.instruments.report import Table, show
from realciao.benchmarks.instruments.rounds import interleave, median_ratio
from realciao.errors import UserError
from realciao.machine.memory import peak_bytes


class Ticks:
    """A meter that grows by what it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> np.ndarray:
        return np.array([self.now, 2 * self.now])


def test_laps_add_up_by_name_and_the_rest_is_what_no_other_lap_took() -> None:
    ticks = Ticks()
    laps = Laps(ticks)
    with laps.lap("whole"):
        for seconds in (1, 2):
            with laps.lap("part"):
                ticks.now += seconds
        ticks.now += 4
    assert laps.spent["whole"].tolist() == [7, 14]
    assert laps.spent["part"].tolist() == [3, 6]
    assert laps.calls["part"] == 2
    assert laps.rest("whole").tolist() == [4, 8]


def test_a_watched_module_is_a_lap_until_the_block_ends() -> None:
    ticks = Ticks()
    laps, module = Laps(ticks), nn.Linear(2, 2)
    module.register_forward_hook(lambda *_: setattr(ticks, "now", ticks.now + 3))
    with laps.watch(layer=module, absent=None):
        module(torch.zeros(1, 2))
        module(torch.zeros(1, 2))
    module(torch.zeros(1, 2))
    assert laps.calls == {"layer": 2}
    assert laps.spent["layer"][0] == 6


@pytest.mark.parametrize("inference", [True, False])
def test_products_are_counted_by_closed_form_in_place_or_not(inference: bool) -> None:
    x, image = torch.rand(5, 7), torch.rand(1, 4, 6, 6)
    linear, conv = nn.Linear(7, 3), nn.Conv2d(4, 2, 3, padding=1)
    with torch.inference_mode(inference), torch.set_grad_enabled(False), MacCounter() as counter:
        linear(x)
        assert counter.read().tolist() == [0, 5 * 7 * 3, 0]
        torch.zeros(5, 3).addmm_(x, torch.rand(7, 3))
        torch.rand(2, 5, 7) @ torch.rand(2, 7, 3)
        torch.zeros(2, 5, 3).baddbmm_(torch.rand(2, 5, 7), torch.rand(2, 7, 3))
        assert counter.read().tolist() == [0, 6 * 5 * 7 * 3, 0]
        conv(image)
        assert counter.read().tolist() == [36 * 2 * 9 * 4, 6 * 5 * 7 * 3, 0]
        (x * x).mul_(x).addcmul_(x, x)
        torch.arange(5) * 3  # an index
        assert counter.read()[2] == 3 * 35
    assert counter.shapes == Counter({(5, 7, 3): 6})


def test_every_round_gives_every_way_one_turn_and_begins_with_another() -> None:
    turns: list[str] = []
    ways = {name: lambda name=name: turns.append(name) or len(turns) for name in "abc"}
    told: list[str] = []
    results = interleave(ways, 3, told.append)
    assert turns == told == list("abcbcacab")
    assert results == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}


def test_the_median_is_of_the_ratios_of_each_round() -> None:
    assert median_ratio([2, 30, 4], [1, 10, 1]) == 3  # not 4 / 1, the ratio of the medians


def test_figures_have_three_digits_and_what_is_missing_a_dash() -> None:
    figures = [1494.6, 25.13, 0.0123, 1.1e-6, 0.0, 589824, None, float("nan"), True, "x"]
    assert [show(f) for f in figures] == ["1,495", "25.1", "0.0123", "1.1e-06", "0", "589,824", "-", "-", "yes", "x"]


def test_a_table_is_text_for_a_person_and_data_in_full() -> None:
    made = Table("speed", "Seconds", [{"way": "ours", "s": 1.23456}, {"way": "plain", "s": None}], "A note.")
    assert made.text().splitlines()[2:5] == ["| way   | s    |", "| ----- | ---- |", "| ours  | 1.23 |"]
    assert made.text().endswith("\n\nA note.")
    assert json.loads(json.dumps(made.data()))["rows"][0]["s"] == 1.23456


def allocate(mib: int) -> tuple[Callable[[], object], str]:
    """What a process that measures memory is given; a call that holds so much, and its device."""
    np.ones(64 << 20, np.uint8)  # the preparation's own peak does not count
    return lambda: np.ones(mib << 20, np.uint8).sum(), "cpu"


def test_the_peak_is_what_the_call_alone_holds() -> None:
    ballast = np.ones(200 << 20, np.uint8)  # nor does the memory of the process that asks
    assert 31 < peak_bytes(allocate, 32) / 2**20 < 40
    assert ballast[0]


def test_without_the_tests_there_is_no_judge_and_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"plain_ciaosr.py: is missing; .* checkout"):
        plain("ciaosr", tmp_path)
