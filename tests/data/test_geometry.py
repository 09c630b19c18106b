"""The geometry of LR patches against exact fractions and brute force."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from realciao.coords import make_axis
from realciao.data.geometry import Axis


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    n_lr = draw(st.integers(1, 200))
    n_hr = draw(st.integers(n_lr, 16 * n_lr))
    start = draw(st.integers(0, n_lr - 1))
    return Axis(n_hr, n_lr, start, draw(st.integers(1, n_lr - start)))


def exact_coord(axis: Axis, i: int) -> Fraction:
    """HR pixel i's centre as a part of the image's extent, seen from the patch: -1 and 1 are the patch's edges."""
    place = Fraction(2 * i + 1, 2 * axis.n_hr)
    first, last = Fraction(axis.start, axis.n_lr), Fraction(axis.start + axis.n_patch, axis.n_lr)
    return (place - first) / (last - first) * 2 - 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(axes())
def test_a_coordinate_is_the_exact_place_in_the_shared_extent(axis: Axis) -> None:
    index = np.arange(axis.n_hr)
    exact = np.array([float(exact_coord(axis, i)) for i in index])
    np.testing.assert_allclose(axis.coord(index), exact, rtol=0, atol=1e-12 * axis.n_lr / axis.n_patch)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(axes())
def test_covered_pixels_are_those_whose_centres_lie_on_the_patch(axis: Axis) -> None:
    assert list(axis.covered()) == [i for i in range(axis.n_hr) if -1 <= exact_coord(axis, i) < 1]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(axes(), st.integers(1, 64))
def test_a_centred_run_is_within_half_an_hr_pixel_of_the_middle(axis: Axis, length: int) -> None:
    run = axis.centred(length)
    assert len(run) == length
    middle = (exact_coord(axis, run[0]) + exact_coord(axis, run[-1])) / 2
    half_a_pixel = Fraction(axis.n_lr, axis.n_hr * axis.n_patch)
    assert abs(middle) <= half_a_pixel


@settings(max_examples=60, deadline=None, derandomize=True)
@given(axes())
def test_cell_is_the_distance_between_neighbours(axis: Axis) -> None:
    np.testing.assert_allclose(np.diff(axis.coord(np.arange(axis.n_hr))), axis.cell, rtol=1e-9, atol=1e-12)


def test_a_patch_that_is_the_whole_image_has_the_coordinates_of_the_network() -> None:
    for n_hr, n_lr in ((64, 64), (137, 100), (256, 64), (33, 10)):
        np.testing.assert_allclose(Axis(n_hr, n_lr, 0, n_lr).coord(np.arange(n_hr)), make_axis(n_hr).numpy(), atol=2e-7)
