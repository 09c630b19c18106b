"""What controls make of their steps, counted over many plans."""

import collections
import itertools

import numpy as np
from scipy import stats

from degradations import build_pipeline

TO_LR = {"type": "Resize", "relative_to": "lr", "mode": "area"}
A, B, C, D = ({"type": "JPEG", "quality": quality} for quality in (10, 20, 30, 40))


def _drawn(node: dict, n: int, scale: float = 2) -> list[list[dict]]:
    pipeline, rng = build_pipeline({"steps": [node, TO_LR]}), np.random.default_rng(1)
    return [pipeline.sample(rng, (32, 32), scale)["steps"][:-1] for _ in range(n)]


def _orders(node: dict, n: int) -> collections.Counter:
    return collections.Counter(tuple(step["quality"] for step in steps) for steps in _drawn(node, n))


def test_every_order_of_a_shuffle_is_equally_likely():
    counts = _orders({"type": "Shuffle", "steps": [A, B, C]}, 3000)
    assert set(counts) == set(itertools.permutations((10, 20, 30)))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_marked_steps_of_a_shuffle_keep_their_order_and_all_such_orders_are_equally_likely():
    counts = _orders({"type": "Shuffle", "steps": [A, {**B, "in_order": True}, C, {**D, "in_order": True}]}, 4000)
    kept = {order for order in itertools.permutations((10, 20, 30, 40)) if order.index(20) < order.index(40)}
    assert set(counts) == kept
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_three_marked_steps_keep_their_order():
    steps = [{**step, "in_order": True} for step in (C, A, D)]
    counts = _orders({"type": "Shuffle", "steps": [steps[0], B, steps[1], steps[2]]}, 400)
    assert {tuple(q for q in order if q != 20) for order in counts} == {(30, 10, 40)}
    assert {order.index(20) for order in counts} == {0, 1, 2, 3}


def test_gates_and_sizes_hold_within_a_shuffle():
    half = {"type": "Resize", "factor": 0.5, "mode": "area"}
    for steps in _drawn({"type": "Shuffle", "steps": [half, {**A, "prob": 0.5}, half]}, 200):
        resizes = [step for step in steps if step["type"] == "Resize"]
        assert [(step["from"], step["size"]) for step in resizes] == [([32, 32], [16, 16]), ([16, 16], [8, 8])]
    counts = collections.Counter(
        len(steps) for steps in _drawn({"type": "Shuffle", "steps": [A, {**B, "prob": 0.3}]}, 2000)
    )
    assert abs(counts[2] / 2000 - 0.3) < 0.04


def test_repeats_are_drawn_anew_and_as_often_as_told():
    steps = {"type": "Repeat", "times": [0, 3], "steps": [{"type": "JPEG", "quality": [1, 100]}, A]}
    drawn = _drawn(steps, 2000)
    counts = collections.Counter(len(d) for d in drawn)
    assert set(counts) == {0, 2, 4, 6}
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3
    qualities = [[step["quality"] for step in d[::2]] for d in drawn if len(d) == 6]
    assert len({tuple(q) for q in qualities}) > 0.9 * len(qualities)
    shrink = {"type": "Repeat", "times": 2, "steps": [{"type": "Resize", "factor": 0.5, "mode": "area"}]}
    assert [step["size"] for step in _drawn(shrink, 1)[0]] == [[16, 16], [8, 8]]


def test_after_a_restart_the_scale_is_what_remains_of_it():
    width = {"type": "GaussianBlur", "kernel_size": 7, "sigma_px": "s"}
    half = {"type": "Resize", "factor": 0.5, "mode": "area"}
    steps = [width, half, width, {"type": "Restart", "steps": [width, half, width]}, width]
    drawn = _drawn({"type": "Sequence", "steps": steps}, 1, scale=8)[0]
    sigmas = [step["sigma_px"][0] for step in drawn if step["type"] == "GaussianBlur"]
    np.testing.assert_allclose(sigmas, [8, 8, 4, 4, 8])
