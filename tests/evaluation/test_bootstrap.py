"""Intervals against SciPy's bootstrap, and how often they hold the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from realciao.evaluation import bootstrap
from realciao.evaluation.bootstrap import mean_interval, paired_difference


@pytest.mark.parametrize("n", [5, 20, 100])
def test_the_interval_is_scipys_percentile_bootstrap(n: int):
    values = np.random.default_rng(n).gamma(2, 3, n)
    ours = mean_interval(list(values))
    judge = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", random_state=1)
    width = judge.confidence_interval.high - judge.confidence_interval.low
    assert ours.mean == pytest.approx(values.mean())
    assert ours.low == pytest.approx(judge.confidence_interval.low, abs=0.03 * width)
    assert ours.high == pytest.approx(judge.confidence_interval.high, abs=0.03 * width)


def test_about_95_of_100_intervals_hold_the_truth(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 500)
    rng = np.random.default_rng(0)
    intervals = [mean_interval(list(rng.normal(7, 2, 40)), seed) for seed in range(300)]
    assert 0.90 < np.mean([i.low <= 7 <= i.high for i in intervals]) < 0.98


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter_and_the_mean_lies_inside(values: list[float], random):
    shuffled = values.copy()
    random.shuffle(shuffled)
    first, second = mean_interval(values), mean_interval(shuffled)
    assert first == second
    assert first.low - 1e-9 <= first.mean <= first.high + 1e-9


def test_many_images_in_portions_are_as_good_as_in_one():
    values = list(np.random.default_rng(0).normal(0, 1, 3000))
    i = mean_interval(values)
    half = 1.96 * np.std(values) / np.sqrt(3000)  # where the central limit theorem rules
    assert (i.high - i.low) / 2 == pytest.approx(half, rel=0.05)


def test_one_image_has_no_width_and_decides_nothing():
    assert mean_interval([3.5]) == bootstrap.Interval(3.5, 3.5, 3.5, 1)
    found = paired_difference({"a": 1.0}, {"a": 2.0}, lower_better=False)
    assert found is not None
    assert found.verdict == "undecided"


@pytest.mark.parametrize(("lower_better", "verdict"), [(False, "second"), (True, "first")])
def test_a_small_gain_on_every_image_is_seen_where_the_means_intervals_overlap(lower_better: bool, verdict: str):
    rng = np.random.default_rng(0)
    first = {str(i): float(v) for i, v in enumerate(rng.normal(28, 4, 20))}
    second = {name: value + float(rng.uniform(0.05, 0.15)) for name, value in first.items()}
    assert mean_interval(list(first.values())).high > mean_interval(list(second.values())).low
    found = paired_difference(first, second, lower_better)
    assert found is not None
    assert found.verdict == verdict
    assert found.second_better == (0 if lower_better else 20)
    assert 0.05 < found.interval.low < found.interval.mean < found.interval.high < 0.15


def test_only_images_with_a_finite_score_of_both_count():
    first = {"a": 1.0, "b": float("inf"), "c": 3.0, "d": 4.0}
    second = {"a": 2.0, "b": 2.0, "c": float("nan"), "d": 4.0, "e": 9.0}
    found = paired_difference(first, second, lower_better=False)
    assert found is not None
    assert (found.interval.n, found.interval.mean, found.second_better, found.ties) == (2, 0.5, 1, 1)
    assert paired_difference({"a": 1.0}, {"b": 1.0}, lower_better=False) is None


def test_no_number_has_no_mean():
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])
