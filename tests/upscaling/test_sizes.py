"""Sizes of results, by what is asked of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realciao.upscaling.sizes import SizeError, SizeRequest, check_roi, count_pixels


@pytest.mark.parametrize(
    ("request_", "size"),
    [
        (SizeRequest(scale=2.37), (142, 237)),
        (SizeRequest(scale=(1.5, 2)), (90, 200)),
        (SizeRequest(size=(7, 9)), (7, 9)),
        (SizeRequest(width=250), (150, 250)),
        (SizeRequest(height=90), (90, 150)),
        (SizeRequest(long_side=300), (180, 300)),
        (SizeRequest(short_side=30), (30, 50)),
    ],
)
def test_each_way_to_ask(request_: SizeRequest, size: tuple[int, int]) -> None:
    assert request_.resolve((60, 100)) == size


@given(st.integers(50, 4000), st.integers(50, 4000), st.floats(0.05, 200))
def test_megapixels_are_met_and_the_proportions_kept(height: int, width: int, wanted: float) -> None:
    h, w = SizeRequest(megapixels=wanted).resolve((height, width))
    assert h * w / 1e6 == pytest.approx(wanted, rel=0.02 + 2 / min(h, w))
    assert h / height == pytest.approx(w / width, rel=2 / min(h, w))


@pytest.mark.parametrize(
    "wrong",
    [SizeRequest(), SizeRequest(scale=2, width=5), SizeRequest(width=0), SizeRequest(megapixels=-1),
     SizeRequest(scale=float("nan")), SizeRequest(size=(0, 5)), SizeRequest(megapixels=float("inf"))],
)  # fmt: skip
def test_what_is_no_size_is_refused(wrong: SizeRequest) -> None:
    with pytest.raises(SizeError):
        wrong.resolve((60, 100))


def test_regions_and_areas_have_bounds() -> None:
    assert check_roi(None, (5, 6)) == ((0, 5), (0, 6))
    for roi in ((0, 0, 0, 3), (2, 2, 1, 5), (0, 0, 6, 6), (-1, 0, 3, 3)):
        with pytest.raises(SizeError, match="region"):
            check_roi(roi, (5, 6))
    for size in ((0, 4), (10**6, 10**6), (1, 10**9)):
        with pytest.raises(SizeError):
            count_pixels(*size)


@pytest.mark.parametrize("request_", [{"scale": 1e308}, {"width": 10**400}, {"height": 10**10}, {"megapixels": 1e300}])
def test_what_is_far_too_large_is_one_line(request_: dict[str, Any]) -> None:
    with pytest.raises(SizeError, match="more than the 4000000000 pixels"):
        SizeRequest(**request_).resolve((9, 14))
