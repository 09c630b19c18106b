"""A large scale in several smaller ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realciao.archs import build_network
from realciao.errors import UserError
from realciao.upscaling.steps import step_sizes, upscale_in_steps

sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))


def test_eight_is_four_times_two_and_thirty_has_three_steps() -> None:
    assert step_sizes((10, 7), (80, 56), 4) == [(40, 28), (80, 56)]
    assert step_sizes((10, 10), (300, 300), 4) == [(40, 40), (160, 160), (300, 300)]
    assert step_sizes((10, 10), (30, 30), 4) == [(30, 30)]


def test_an_axis_that_is_done_waits_for_the_other_and_one_that_shrinks_does_so_first() -> None:
    assert step_sizes((10, 10), (10, 80), 4) == [(10, 40), (10, 80)]
    assert step_sizes((10, 10), (5, 80), 4) == [(5, 40), (5, 80)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(size=sizes, target=st.tuples(st.integers(1, 900), st.integers(1, 900)), largest=st.floats(1.1, 40))
def test_steps_end_at_the_target_and_none_is_larger_than_allowed(
    size: tuple[int, int], target: tuple[int, int], largest: float
) -> None:
    made = step_sizes(size, target, largest)
    assert made[-1] == target
    for before, after in zip([size, *made[:-1]], made, strict=True):
        assert all(b <= max(a * largest, a + 1) for a, b in zip(before, after, strict=True))


def test_steps_are_the_network_applied_to_its_own_result() -> None:
    spec = {"type": "EDSREncoder", "num_feat": 4, "num_block": 1}
    net = build_network({"type": "CiaoSR", "encoder": spec, "decoder": {"type": "LIIFDecoder", "hidden": [8]}})
    lq = torch.rand(1, 3, 5, 6)
    expected = net.upscale(net.upscale(lq, (20, 24)), (40, 48))
    torch.testing.assert_close(upscale_in_steps(net, lq, (40, 48), 4), expected, rtol=0, atol=0)


@pytest.mark.parametrize("largest", [1.0, 0.5, -2.0, float("nan")])
def test_a_step_that_does_not_enlarge_is_refused_in_one_line(largest: float) -> None:
    with pytest.raises(UserError, match="above 1") as caught:
        step_sizes((10, 10), (80, 80), largest)
    assert "\n" not in str(caught.value)


def test_steps_without_end_are_refused() -> None:
    with pytest.raises(UserError, match="more than 100; give a larger one"):
        step_sizes((10, 10), (10**9, 10**9), 1.0001)
