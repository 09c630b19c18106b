"""Filtering of batches against scipy, and products with banded matrices against the dense ones."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from degradations import kernels
from degradations.filtering import correlate_batch
from degradations.resize import MODES, Resize
from degradations.tensors import band_matmul, mirrored

SIZES = st.integers(1, 150)


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).random((height, width, 3), np.float32)


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def _lopsided(size: int) -> np.ndarray:
    kernel = np.random.default_rng(size).random((size, size)).astype(np.float32)
    kernel[0] *= 3  # a flipped or shifted kernel shows
    return kernel / kernel.sum()


MIXED = [_lopsided(7), kernels.gaussian(21, (2.5, 0.7), 0.3), kernels.sinc(15, 1.5), kernels.gaussian(21, (0.1, 0.1))]
SEPARABLE = [kernels.gaussian(21, (3, 3)), kernels.gaussian(9, (0.8, 0.8)), kernels.gaussian(13, (2, 0.7))]


@pytest.mark.parametrize("taps", [MIXED, SEPARABLE], ids=["mixed", "separable"])
@pytest.mark.parametrize("size", [(80, 33), (70, 129), (8, 8), (5, 30), (3, 1), (1, 1)])
def test_each_image_of_a_batch_is_correlated_with_its_kernel_the_border_mirrored(taps, size):
    image = _image(*size)
    images = _tensor(image).expand(len(taps), -1, -1, -1)
    for filtered, kernel in zip(correlate_batch(images, taps), taps, strict=True):
        expected = ndimage.correlate(image.astype(np.float64), kernel[:, :, None], mode="mirror")
        np.testing.assert_allclose(filtered.permute(1, 2, 0), expected, atol=4e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_an_index_is_mirrored_as_numpy_pads(n):
    expected = np.pad(np.arange(n), 20, mode="reflect")
    np.testing.assert_array_equal(mirrored(torch.arange(-20, n + 20), n), expected)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(SIZES, SIZES, SIZES, SIZES, st.lists(st.sampled_from(MODES), min_size=1, max_size=3), st.booleans())
def test_resizing_in_torch_equals_numpys(h, w, new_h, new_w, modes, antialias):
    image = _image(h, w)
    params = [{"mode": mode, "antialias": antialias, "size": [new_h, new_w]} for mode in modes]
    resized = Resize.apply_batch(params, _tensor(image).expand(len(modes), -1, -1, -1))
    for one, p in zip(resized, params, strict=True):
        np.testing.assert_allclose(one.permute(1, 2, 0), Resize.apply(p, image), atol=1e-5)


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize(("n_in", "n_out", "reach"), [(150, 150, 9), (70, 200, 3), (300, 130, 7.5), (9, 300, 20)])
def test_blocks_of_a_banded_matrix_multiply_as_the_whole(n_in, n_out, reach, axis):
    generator = torch.Generator().manual_seed(0)
    centre = (torch.arange(n_out) + 0.5) * n_in / n_out - 0.5
    near = (torch.arange(n_in) - centre[:, None]).abs() <= reach
    matrix = torch.rand(2, n_out, n_in, generator=generator) * near
    images = torch.rand(2, 3, n_in, n_in, generator=generator)
    expected = torch.einsum("boi,bciw->bcow" if axis == 2 else "boi,bchi->bcho", matrix, images)
    torch.testing.assert_close(band_matmul(matrix, reach, images, axis), expected)
