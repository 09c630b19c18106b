"""Reduced patches against torch's own antialiased resize, and their place against a ramp."""

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from realciao.data.reduction import PatchAxis, reduce_patch


def test_a_whole_image_is_reduced_as_torch_reduces_it() -> None:
    image = np.random.default_rng(0).random((48, 64, 3), np.float32)
    axes = PatchAxis(0, 12, 12, 48), PatchAxis(0, 16, 16, 64)
    ours = reduce_patch(image, *axes, (19, 27))
    theirs = F.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None], (19, 27), mode="bicubic", antialias=True)
    np.testing.assert_allclose(ours, theirs[0].permute(1, 2, 0).clamp(0, 1).numpy(), atol=2e-5)


@settings(max_examples=40, deadline=None)
@given(
    n_lr=st.integers(12, 40),
    scale=st.floats(1.5, 8),
    part=st.floats(1, 1.5),
    start=st.integers(2, 5),
)
def test_a_ramp_stays_where_it_is(n_lr: int, scale: float, part: float, start: int) -> None:
    n_hr, n = round(n_lr * scale), n_lr - start - 5
    axis = PatchAxis(start, n, n_lr, n_hr)
    first = axis.needed().start
    ramp = np.arange(n_hr, dtype=np.float32)[axis.needed()] / n_hr  # a pixel's value is its place
    axis = axis._replace(kept=first)
    size = max(1, round(n * max(1.0, scale / part / 1.2)))
    image = np.broadcast_to(ramp[:, None, None], (len(ramp), len(ramp), 3))
    got = reduce_patch(np.ascontiguousarray(image), axis, axis, (size, size))[:, 0, 0]
    places = (np.arange(size) + 0.5) * n / size + start  # in LR pixels, from the edge of the LR image
    error_px = got * n_hr - (places * n_hr / n_lr - 0.5)
    assert abs(error_px.mean()) < 0.01
    # a stretched cubic kernel that is sampled at whole pixels makes a ripple of a ramp; torch's does the same
    assert np.abs(error_px).max() < 0.06


def test_what_a_patch_needs_suffices() -> None:
    """A crop of the image gives what the whole gives."""
    image = np.random.default_rng(1).random((90, 90, 3), np.float32)
    axis = PatchAxis(7, 8, 30, 90)
    crop = axis.needed()
    small = reduce_patch(image[crop, crop], axis._replace(kept=crop.start), axis._replace(kept=crop.start), (8, 11))
    np.testing.assert_allclose(small, reduce_patch(image, axis, axis, (8, 11)), atol=1e-6)
