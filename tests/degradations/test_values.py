"""Ranges whose ends depend on the scale."""

import numpy as np
import pytest

from degradations import RecipeError
from degradations.registry import Frame
from degradations.values import MAX_SCALE, InScale, ScaleRange


@pytest.mark.parametrize(
    ("written", "law"),
    [
        (3, lambda s: 3),
        ("s", lambda s: s),
        ("4 + s", lambda s: 4 + s),
        ("2+0.2s", lambda s: 2 + 0.2 * s),
        (" 0.6 s ", lambda s: 0.6 * s),
        ("s^0.5", lambda s: np.sqrt(s)),
        ("0.5 s^-1", lambda s: 0.5 / s),
        (".25 + 1.5 s ^ 2", lambda s: 0.25 + 1.5 * s * s),
    ],
)
def test_a_number_in_the_scale_is_the_formula_that_it_reads_as(written, law):
    for scale in (1, 2.7, 16):
        assert InScale.parse("key", written).at(scale) == pytest.approx(law(scale))


@pytest.mark.parametrize(
    "written", ["", "t", "2 + ", "s + 2", "0.2 x s", "s s", "1e3", "__import__('os')", "2", True, None]
)
def test_anything_else_is_refused_with_its_key(written):
    with pytest.raises(RecipeError) as caught:
        ScaleRange.parse("sigma_px", [0, written])
    assert caught.value.path == "sigma_px"
    assert "expected a number" in caught.value.problem


@pytest.mark.parametrize("scale", [1, 3.3, 16])
def test_draws_cover_the_range_of_the_scale_at_hand(scale):
    drawn_from, rng = ScaleRange.parse("key", ["0.5 s^-1", "2 + 0.2 s"]), np.random.default_rng(0)
    drawn = [drawn_from.draw(rng, scale) for _ in range(4000)]
    low, high = 0.5 / scale, 2 + 0.2 * scale
    assert low <= min(drawn) < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < max(drawn) <= high


def test_bounds_hold_at_every_scale_that_counts():
    ScaleRange.parse("key", "s", at_least=1, at_most=MAX_SCALE)
    with pytest.raises(RecipeError, match=r"key: at scale 15.5: must be in \[1, 15\]"):
        ScaleRange.parse("key", "s", at_least=1, at_most=15)
    beyond = ScaleRange.parse("key", "s").draw(np.random.default_rng(0), 40)
    assert beyond == MAX_SCALE


def test_the_scale_of_a_frame_is_that_of_its_sizes():
    assert Frame((10, 10), (90, 80), (30, 20)).scale == pytest.approx(np.sqrt(3 * 4))
