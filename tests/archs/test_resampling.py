"""The antialiased bicubic filter against torch's own, and where it puts things, against closed forms."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from realciao.archs.resampling import REACH_PX, sample
from realciao.coords import make_cell, make_coord, scale_frame
from realciao.images.matlab_resize import resize_float

SIZE = (41, 37)
drawn = settings(max_examples=60, deadline=None, derandomize=True)
side = st.integers(8, 40)


def resample(image: Tensor, size: tuple[int, int], scale: int = 4) -> Tensor:
    coord = make_coord(size).expand(len(image), -1, -1, -1)
    return sample(image, coord, make_cell(size).expand(len(image), -1), scale)


def draw_image(size: tuple[int, int] = SIZE, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("factor", [0.3, 0.37, 0.5, 0.71, 0.999, 1.0, 1.2, 1.5, 2.0, 2.49, 3.0])
def test_it_is_torchs_antialiased_bicubic(factor: float) -> None:
    size = (round(SIZE[0] * factor), round(SIZE[1] * factor))
    image = draw_image()
    expected = F.interpolate(image, size, mode="bicubic", antialias=True, align_corners=False)
    if factor > 1:  # torch's `antialias` still means a = -0.5 there, and weights inside that make up for the border
        assert (expected - F.interpolate(image, size, mode="bicubic", align_corners=False)).abs().max() > 0.01
    torch.testing.assert_close(resample(image, size), expected, rtol=0, atol=5e-5)


def test_it_is_matlabs_bicubic_within_the_border() -> None:
    image = draw_image((40, 44))
    for size in ((20, 22), (80, 88), (64, 50), (13, 17)):
        expected = resize_float(image[0].permute(1, 2, 0).numpy(), size)
        found = resample(image, size)[0].permute(1, 2, 0).numpy()
        edge_y, edge_x = (
            -(-8 * n // m) for n, m in zip(size, (40, 44), strict=True)
        )  # MATLAB mirrors what lies beyond
        inside = slice(edge_y, -edge_y), slice(edge_x, -edge_x)
        assert found[inside].size
        np.testing.assert_allclose(found[inside], expected[inside], rtol=0, atol=5e-5)


@drawn
@given(size=st.tuples(side, side), more=st.tuples(st.integers(0, 60), st.integers(0, 60)))
def test_an_enlarged_ramp_stays_where_it_is(size: tuple[int, int], more: tuple[int, int]) -> None:
    """A value is a place: a ramp of 1 a pixel is off by as many pixels as its values are. (Shrunk, it ripples.)"""
    out = size[0] + more[0], size[1] + more[1]
    for axis in (0, 1):
        ramp, expected = (make_coord(n)[..., axis] * size[axis] / 2 for n in (size, out))
        inside = expected.abs() < size[axis] / 2 - 2.5  # the kernel ends within the image
        off = (resample(ramp[None, None], out)[0, 0] - expected)[inside]
        assert off.abs().max() < 0.003


@drawn
@given(
    size=st.tuples(st.integers(16, 40), st.integers(16, 40)),
    out=st.tuples(st.integers(10, 90), st.integers(10, 90)),
    middle=st.tuples(st.floats(-0.15, 0.15), st.floats(-0.15, 0.15)),
)
def test_a_blob_keeps_its_centre(size: tuple[int, int], out: tuple[int, int], middle: tuple[float, float]) -> None:
    at = make_coord(size, "cpu").double()
    squares = [((at[..., axis] - middle[axis]) * size[axis] / 2).square() for axis in (0, 1)]
    blob = (-sum(squares) / (2 * 1.7**2)).exp()
    found = resample(blob.float()[None, None], out, scale=16)[0, 0].double()
    places = make_coord(out).double()
    for axis in (0, 1):
        centre = (found * places[..., axis]).sum() / found.sum()
        assert abs(float(centre) - middle[axis]) * size[axis] / 2 < 0.01


@drawn
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    out=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    seed=st.integers(0, 99),
)
def test_points_are_the_grid(size: tuple[int, int], out: tuple[int, int], seed: int) -> None:
    image = draw_image(size, seed)
    coord, cell = make_coord(out)[None], make_cell(out)[None]
    grid = sample(image, coord, cell, 4)
    order = torch.randperm(out[0] * out[1], generator=torch.Generator().manual_seed(seed))
    shuffled = coord.flatten(1, 2)[:, order, None]
    points = sample(image, shuffled, cell, 4)
    assert grid.isfinite().all()
    torch.testing.assert_close(points[..., 0], grid.flatten(2)[:, :, order], rtol=0, atol=2e-6)


@drawn
@given(
    lr=st.tuples(st.integers(12, 30), st.integers(12, 30)),
    scale=st.sampled_from([1, 2, 3, 4]),
    out=st.tuples(st.integers(8, 130), st.integers(8, 130)),
    tile=st.tuples(st.floats(0, 0.6), st.floats(0, 0.6), st.floats(0.3, 1), st.floats(0.3, 1)),
)
def test_a_tile_is_that_part_of_the_whole(lr: Any, scale: int, out: Any, tile: Any) -> None:
    """Down to half the LR image's size, of which the tile has REACH_PX around its own."""
    size = lr[0] * scale, lr[1] * scale
    image = draw_image(size)
    coord, cell = make_coord(out)[None], make_cell(out)[None]
    whole = sample(image, coord, cell, scale)
    top, left = (int(tile[i] * lr[i]) for i in (0, 1))
    bottom, right = (min(lr[i], (top, left)[i] + 1 + int(tile[2 + i] * lr[i])) for i in (0, 1))
    centres = [(make_coord(out)[..., i] + 1) * lr[i] / 2 for i in (0, 1)]
    inside = [
        (c >= (begin + REACH_PX if begin else 0)) & (c <= (end - REACH_PX if end < n else n))
        for c, begin, end, n in zip(centres, (top, left), (bottom, right), lr, strict=True)
    ]
    rows, columns = inside[0][:, 0], inside[1][0]
    if not (rows.any() and columns.any()):
        return
    part = image[:, :, top * scale : bottom * scale, left * scale : right * scale]
    found = sample(part, coord[:, rows][:, :, columns], cell, scale, scale_frame((top, left, *lr), scale))
    torch.testing.assert_close(found, whole[:, :, rows][:, :, :, columns], rtol=0, atol=2e-6)


def test_each_image_of_a_batch_has_its_own_pixel_size() -> None:
    images = draw_image().expand(2, -1, -1, -1)
    sizes = ((30, 30), (15, 20))
    coord = torch.stack([make_coord((9, 9)) * 0.7, make_coord((9, 9)) * 0.9])
    cells = torch.stack([make_cell(size) for size in sizes])
    for queries in (coord, coord.flatten(1, 2)[:, :, None]):  # as a grid, and as points
        together = sample(images, queries, cells, 4)
        for i in (0, 1):
            alone = sample(images[:1], queries[i : i + 1], cells[i : i + 1], 4)
            torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=2e-6)
    assert (sample(images, coord[:1].expand(2, -1, -1, -1), cells, 4).diff(dim=0)).abs().max() > 0.01


@drawn
@given(size=st.tuples(st.integers(1, 300), st.integers(1, 300)), double=st.booleans())
def test_at_its_own_pixels_it_is_the_image_bit_for_bit(size: tuple[int, int], double: bool) -> None:
    image = draw_image(size)
    image = image.double() if double else image
    assert torch.equal(resample(image, size), image)


def test_a_constant_stays_one_up_to_the_border() -> None:
    image = torch.full((1, 1, 9, 11), 0.7)
    for size in ((3, 4), (9, 11), (20, 35)):
        torch.testing.assert_close(resample(image, size), torch.full((1, 1, *size), 0.7), rtol=0, atol=1e-6)


def test_in_double_and_half_precision_it_stays_near() -> None:
    image = draw_image()
    expected = resample(image, (60, 50))
    torch.testing.assert_close(resample(image.double(), (60, 50)), expected.double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(resample(image.bfloat16(), (60, 50)), expected, rtol=0, atol=0.02)


def test_gradients_reach_the_image() -> None:
    image = draw_image((6, 5)).double().requires_grad_()
    coord = make_coord((4, 7))[None]
    for queries in (coord, coord.flatten(1, 2)[:, :, None]):
        assert torch.autograd.gradcheck(lambda x, q=queries: sample(x, q, make_cell((4, 7))[None], 4), image)
