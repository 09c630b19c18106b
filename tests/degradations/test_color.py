"""The chroma's shift against scikit-image's colour space, scipy's shift, and the closed form of a ramp."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.color import rgb2ycbcr

from degradations.color import ChromaShift
from degradations.registry import Frame


def _image(height: int = 20, width: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


@pytest.mark.parametrize("shift_px", [[0.4, -0.7], [1.0, 0.0], [-2.3, 1.9]])
def test_the_chroma_moves_as_scipy_moves_it_and_the_luma_stays(shift_px):
    image = _image()
    before, after = (rgb2ycbcr(x) for x in (image, ChromaShift.apply({"shift_px": shift_px}, image)))
    np.testing.assert_allclose(after[:, :, 0], before[:, :, 0], atol=2e-3)  # of 219; its weights have six digits
    for plane in (1, 2):
        expected = ndimage.shift(before[:, :, plane], shift_px[::-1], order=1, mode="nearest")
        np.testing.assert_allclose(after[:, :, plane], expected, atol=2e-3)


def test_a_ramp_of_colour_arrives_where_the_shift_says():
    x = np.arange(30, dtype=np.float32)[None, :, None] / 40
    ramp = np.repeat(x * np.array([1, -0.299 / 0.587, 0], np.float32), 4, 0)  # of no luma
    out = ChromaShift.apply({"shift_px": [0.35, 0.0]}, ramp)
    np.testing.assert_allclose(out[:, 2:-2, 0], ramp[:, 2:-2, 0] - 0.35 / 40, atol=1e-6)


def test_no_shift_and_gray_change_nothing():
    image = _image()
    np.testing.assert_allclose(ChromaShift.apply({"shift_px": [0.0, 0.0]}, image), image, atol=1e-7)
    gray = np.repeat(image[:, :, :1], 3, 2)
    np.testing.assert_allclose(ChromaShift.apply({"shift_px": [1.3, -0.4]}, gray), gray, atol=1e-6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(1, 9), st.lists(st.floats(-3, 3), min_size=4, max_size=4))
def test_both_executors_agree_with_parameters_for_each_image(h, w, shifts):
    images = np.stack([_image(h, w, seed) for seed in (1, 2)])
    params = [{"shift_px": shifts[:2]}, {"shift_px": shifts[2:]}]
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).requires_grad_()
    out = ChromaShift.apply_batch(params, batch)
    for p, image, theirs in zip(params, images, out, strict=True):
        np.testing.assert_allclose(theirs.detach().permute(1, 2, 0), ChromaShift.apply(p, image), atol=2e-6)
    out.sum().backward()
    assert batch.grad is not None
    assert batch.grad.isfinite().all()


def test_directions_are_drawn_separately():
    step, rng = ChromaShift([-1, 1]), np.random.default_rng(0)
    drawn = np.array([step.sample(rng, Frame((8, 8), (8, 8), (8, 8)))["shift_px"] for _ in range(1000)])
    assert np.abs(drawn).max() <= 1
    assert drawn.std(0) == pytest.approx(np.full(2, 1 / np.sqrt(3)), abs=0.03)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.1
