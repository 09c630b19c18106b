"""Our PNG writer, judged by two other programs' readers."""

import io
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from realciao.images.png import write_png


def _pieces(image: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    yield from (image[i : i + rows] for i in range(0, len(image), rows))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 40)),
    channels=st.integers(1, 4),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    rows=st.integers(1, 100),
    smooth=st.booleans(),
)
def test_opencv_reads_what_was_written_in_any_bands(
    size: tuple[int, int], channels: int, dtype: type, rows: int, smooth: bool
) -> None:
    shape = size if channels == 1 else (*size, channels)
    top = int(np.iinfo(dtype).max)
    if smooth:  # other filters win than in noise
        image = (np.indices(shape).sum(0) * 37 % (top + 1)).astype(dtype)
    else:
        image = np.random.default_rng(0).integers(0, top + 1, shape).astype(dtype)
    file = io.BytesIO()
    write_png(file, shape, np.dtype(dtype), _pieces(image, rows))
    read = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
    expected = {
        1: lambda: image,
        2: lambda: image[:, :, [0, 0, 0, 1]],
        3: lambda: image[:, :, ::-1],
        4: lambda: image[:, :, [2, 1, 0, 3]],
    }[channels]()
    np.testing.assert_array_equal(read, expected)
    if dtype == np.uint8:
        np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(file.getvalue()))), image)


def test_a_photo_takes_no_more_room_than_pillows_at_the_same_level() -> None:
    from skimage import data

    photo = data.coffee()
    ours, theirs = io.BytesIO(), io.BytesIO()
    write_png(ours, photo.shape, photo.dtype, iter([photo]))
    Image.fromarray(photo).save(theirs, "PNG", compress_level=4)
    assert len(ours.getvalue()) < 1.02 * len(theirs.getvalue())


def test_a_size_beyond_the_format_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no image"):
        write_png(io.BytesIO(), (1, 2**31), np.dtype(np.uint8), iter([]))
