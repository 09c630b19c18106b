"""MATLAB's resize against Set5's released LR images, a slow loop, and Pillow away from the edges."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from realciao.images.matlab_resize import resize_float, resize_levels

SET5 = Path(os.environ.get("REALCIAO_SHARED", "$REALCIAO_SHARED")) / "data" / "test" / "Set5"
needs_set5 = pytest.mark.skipif(not SET5.is_dir(), reason=f"Set5 is not in {SET5}")


def rgb(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@needs_set5
@pytest.mark.parametrize(("scale", "rounding"), [(2, "each_pass"), (3, "each_pass"), (4, "each_pass"), (8, "final")])
def test_the_released_lr_images_of_set5_are_made_bit_for_bit(scale: int, rounding: str):
    for path in sorted((SET5 / "HR").iterdir()):
        released = rgb(SET5 / "LR_bicubic" / f"X{scale}" / f"{path.stem}x{scale}.png")
        height, width = (n // scale * scale for n in rgb(path).shape[:2])
        made = resize_levels(rgb(path)[:height, :width], released.shape[:2], rounding)  # type: ignore[arg-type]
        np.testing.assert_array_equal(made, released)


def keys(x: float) -> float:
    """Keys's cubic with a = -0.5, as his paper writes it."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def slow_line(line: np.ndarray, n_out: int) -> list[float]:
    """One axis by definition: every output pixel a weighted mean of the mirrored line, which goes on for ever."""
    n_in = len(line)
    stretch = max(1.0, n_in / n_out)
    period = [*line, *line[::-1]]
    result = []
    for j in range(n_out):
        centre = (j + 0.5) * n_in / n_out - 0.5
        places = range(math.floor(centre - 2 * stretch) - 1, math.ceil(centre + 2 * stretch) + 2)
        weights = [keys((centre - i) / stretch) for i in places]
        result.append(sum(w * period[i % (2 * n_in)] for w, i in zip(weights, places, strict=True)) / sum(weights))
    return result


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 23), st.integers(1, 40), st.integers(0, 99))
def test_an_axis_is_what_a_slow_loop_makes_of_it(n_in: int, n_out: int, seed: int):
    line = np.random.default_rng(seed).random(n_in)
    expected = slow_line(line, n_out)
    column = line[:, None, None].astype(np.float32)
    np.testing.assert_allclose(resize_float(column, (n_out, 1))[:, 0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(resize_float(column.transpose(1, 0, 2), (1, n_out))[0, :, 0], expected, atol=1e-6)


@pytest.mark.parametrize("size", [(20, 30), (11, 13), (75, 90)])
def test_away_from_the_edges_it_is_pillows_bicubic(size: tuple[int, int]):
    grey = np.random.default_rng(0).random((40, 60)).astype(np.float32)
    pillow = np.asarray(Image.fromarray(grey).resize(size[::-1], Image.Resampling.BICUBIC))
    inner = tuple(slice(n // 5, n - n // 5) for n in size)
    np.testing.assert_allclose(resize_float(grey[..., None], size)[..., 0][inner], pillow[inner], atol=2e-6)


def test_the_axis_that_shrinks_more_goes_first_since_rounding_between_tells_them_apart():
    levels = np.random.default_rng(0).integers(0, 256, (24, 24, 1), dtype=np.uint8)
    half_done = resize_levels(levels, (24, 6))
    np.testing.assert_array_equal(resize_levels(levels, (12, 6)), resize_levels(half_done, (12, 6)))
    assert (resize_levels(levels, (12, 6)) != resize_levels(resize_levels(levels, (12, 24)), (12, 6))).any()
