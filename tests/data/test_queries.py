"""Which HR pixels samples ask for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realciao.data.geometry import Axis, largest_crop, plan_crop
from realciao.data.queries import RandomPoints, Window, make_queries
from realciao.errors import OptionError


def test_random_points_are_distinct_and_uniform_over_the_patch() -> None:
    rows, columns = Axis(60, 30, 4, 8), Axis(90, 30, 10, 8)
    hits = np.zeros((60, 90), int)
    rng = np.random.default_rng(0)
    for _ in range(300):
        ys, xs = RandomPoints(8, 48).pick(rng, rows, columns)
        assert ys.shape == xs.shape == (1, 48)
        assert len({*zip(ys.ravel().tolist(), xs.ravel().tolist(), strict=True)}) == 48
        hits[ys, xs] += 1
    inside = hits[8:24, 30:54]
    assert hits.sum() == inside.sum() == 300 * 48
    # each of 384 pixels is hit with chance 1/8 in each of 300 samples: 37.5, standard deviation 5.7
    assert abs(inside - 37.5).max() < 5 * 5.7
    assert abs(inside.mean(axis=0) - 37.5).max() < 4 * 5.7 / 4


def test_as_many_points_as_lr_pixels_are_all_hr_pixels_at_scale_one() -> None:
    ys, xs = RandomPoints(6, 36).pick(np.random.default_rng(0), Axis(20, 20, 3, 6), Axis(20, 20, 5, 6))
    assert sorted(zip(ys[0].tolist(), xs[0].tolist(), strict=True)) == [
        (y, x) for y in range(3, 9) for x in range(5, 11)
    ]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 24), st.integers(0, 8), st.floats(1, 30), st.integers(0, 2**32))
def test_a_window_lies_in_the_crop_with_its_margin_around_it(
    eighths: int, margin: int, scale: float, seed: int
) -> None:
    window = Window(8 * eighths, margin)
    plan = plan_crop(window.patch_size(scale), scale)
    top, left = plan.corner(np.random.default_rng(seed))
    assert plan.n_lr == round(plan.n_hr / scale)
    for start in (top, left):
        axis = Axis(plan.n_hr, plan.n_lr, start, plan.n_patch)
        run = axis.centred(window.window)
        ratio = plan.n_hr / plan.n_lr
        assert 0 <= start <= start + plan.n_patch <= plan.n_lr
        assert run[0] >= (start + margin) * ratio - 1
        assert run[-1] + 1 <= (start + plan.n_patch - margin) * ratio + 1
        assert min(run[0], plan.n_hr - 1 - run[-1]) >= 7


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(2, 64), st.floats(1, 30))
def test_the_patch_of_random_points_keeps_clear_of_the_ends(lq_size: int, scale: float) -> None:
    plan = plan_crop(lq_size, scale)
    starts = {plan.corner(np.random.default_rng(seed))[0] for seed in range(60)}
    ends_hr = min(min(starts), plan.n_lr - plan.n_patch - max(starts)) * plan.n_hr / plan.n_lr
    assert ends_hr >= 7.5
    assert plan.n_lr == round(plan.n_hr / scale)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.booleans(), st.integers(1, 12), st.floats(1, 8), st.floats(0, 12))
def test_no_scale_of_the_range_needs_more_than_the_largest_crop(
    points: bool, eighths: int, low: float, width: float
) -> None:
    queries = RandomPoints(8 * eighths, 1) if points else Window(8 * eighths, 4)
    bound = largest_crop(queries.patch_size, (low, low + width))
    scales = [*np.random.default_rng(0).uniform(low, low + width, 500), low + width]
    needs = [plan_crop(queries.patch_size(scale), scale).n_hr for scale in scales]
    assert max(needs[:-1]) <= bound <= max(needs) + 0.05 * bound


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ((48, None, None, 4), "sample_q"),
        ((None, 100, None, 4), "lq_size"),
        ((None, None, None, 4), "lq_size"),
        ((48, 100, 64, 4), "window"),
        ((48, 2305, None, 4), "sample_q"),
        ((None, None, 60, 4), "window"),
    ],
)
def test_a_wrong_choice_of_pixels_names_its_key(keys: tuple, path: str) -> None:
    with pytest.raises(OptionError) as error:
        make_queries(*keys)
    assert error.value.path == path
