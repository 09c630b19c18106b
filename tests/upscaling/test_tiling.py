from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from realciao.upscaling.tiling import Span, owned_outputs, split_axis

axis = {
    "n": st.integers(1, 90),
    "n_out": st.integers(1, 700),
    "tile": st.integers(0, 40),
    "halo": st.integers(0, 12),
    "multiple": st.sampled_from([1, 2, 8]),
}
sizes = settings(max_examples=150, deadline=None, derandomize=True)


@sizes
@given(**axis)
def test_every_output_pixel_is_owned_by_exactly_one_tile(
    n: int, n_out: int, tile: int, halo: int, multiple: int
) -> None:
    owned = [j for span in split_axis(n, n_out, tile, halo, multiple) for j in range(span.out_begin, span.out_end)]
    assert owned == list(range(n_out))


@sizes
@given(**axis)
def test_a_tile_reads_the_halo_around_the_centre_of_each_pixel_that_it_owns(
    n: int, n_out: int, tile: int, halo: int, multiple: int
) -> None:
    for span in split_axis(n, n_out, tile, halo, multiple):
        for j in range(span.out_begin, span.out_end):
            holder = int((j + Fraction(1, 2)) * n / n_out)  # the LR pixel that holds the centre
            assert span.begin <= max(0, holder - halo)
            assert min(n, holder + 1 + halo) <= span.end


@sizes
@given(**axis)
def test_tiles_lie_on_the_grid_of_multiples_and_are_no_larger_than_asked(
    n: int, n_out: int, tile: int, halo: int, multiple: int
) -> None:
    def up(k: int) -> int:
        return -(-k // multiple) * multiple

    for span in split_axis(n, n_out, tile, halo, multiple):
        assert span.begin % multiple == 0
        assert span.end % multiple == 0 or span.end == n
        assert not tile or span.end - span.begin <= up(tile) + 2 * up(halo)


@sizes
@given(n=axis["n"], n_out=axis["n_out"], ends=st.tuples(st.integers(0, 90), st.integers(0, 90)))
def test_owned_outputs_are_those_whose_exact_centres_lie_inside(n: int, n_out: int, ends: tuple[int, int]) -> None:
    begin, end = sorted(min(e, n) for e in ends)
    inside = [j for j in range(n_out) if begin <= (j + Fraction(1, 2)) * n / n_out < end]
    assert list(range(*owned_outputs(begin, end, n, n_out))) == inside


@sizes
@given(**axis, ends=st.tuples(st.integers(0, 90), st.integers(0, 90)))
def test_with_a_region_the_tiles_own_its_pixels_and_no_others(
    n: int, n_out: int, tile: int, halo: int, multiple: int, ends: tuple[int, int]
) -> None:
    begin, end = sorted(min(e, n) for e in ends)
    if begin == end:
        return
    spans = split_axis(n, n_out, tile, halo, multiple, keep=(begin, end))
    owned = [j for span in spans for j in range(span.out_begin, span.out_end)]
    assert owned == list(range(*owned_outputs(begin, end, n, n_out)))


def test_no_tile_is_one_span_that_reads_the_whole_axis() -> None:
    assert split_axis(57, 135, tile=0, halo=9) == [Span(0, 57, 0, 135)]


@given(
    n=st.integers(1, 300),
    n_out=st.integers(1, 900),
    tile=st.integers(4, 90),
    fade=st.integers(1, 12),
)
def test_fading_tiles_count_one_together_and_stay_within_what_they_read(
    n: int, n_out: int, tile: int, fade: int
) -> None:
    spans = split_axis(n, n_out, tile, 2 * fade, fade=fade)
    total = np.zeros(n_out)
    for span in spans:
        total[span.out_begin : span.out_end] += span.weights()
        centres = (np.arange(span.out_begin, span.out_end) + 0.5) * n / n_out
        assert (centres >= span.begin).all()
        assert (centres <= span.end).all()
        assert (np.diff(span.weights()[: span.fade_in]) > 0).all()
    np.testing.assert_allclose(total, 1, atol=1e-6)
    shared = sum(span.fade_in for span in spans)
    assert shared == sum(span.fade_out for span in spans)
    if len(spans) > 1 and n_out >= 4 * n and tile > 4 * fade:
        assert shared > 0
