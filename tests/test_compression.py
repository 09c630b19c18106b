"""JPEG against OpenCV called directly, and against Pillow's libjpeg."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
from PIL import Image

from degradations.compression import JPEG
from degradations.pixels import from_8bit, to_8bit


def _photo(height: int = 128, width: int = 160) -> np.ndarray:
    path = Path(skimage.__file__).parent / "data" / "astronaut.png"
    return from_8bit(np.array(Image.open(path).convert("RGB"))[60 : 60 + height, 130 : 130 + width])


@pytest.mark.parametrize("quality", [1, 30, 75, 95, 100])
@pytest.mark.parametrize("size", [(128, 160), (37, 53), (1, 9)])
def test_jpeg_is_what_opencv_makes_of_the_image_in_its_channel_order(quality, size):
    image = _photo(*size)
    bgr = np.ascontiguousarray(to_8bit(image)[:, :, ::-1])
    written = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    expected = cv2.imdecode(written, cv2.IMREAD_COLOR)[:, :, ::-1]
    np.testing.assert_array_equal(to_8bit(JPEG.apply({"quality": quality}, image)), expected)


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_jpeg_agrees_with_pillows_at_the_same_quality_and_subsampling(quality):
    image = _photo()
    buffer = io.BytesIO()
    Image.fromarray(to_8bit(image)).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    theirs = np.array(Image.open(buffer)) / 255
    ours = JPEG.apply({"quality": quality}, image)
    psnr = -10 * np.log10(np.mean((ours - theirs) ** 2) + 1e-12)
    loss = -10 * np.log10(np.mean((ours - image) ** 2))
    assert psnr > 45 > loss + 5


def test_jpeg_clips_what_overshoots_and_leaves_its_input_alone():
    image = _photo() * 3 - 1
    before = image.copy()
    out = JPEG.apply({"quality": 50}, image)
    np.testing.assert_array_equal(out, JPEG.apply({"quality": 50}, np.clip(image, 0, 1)))
    np.testing.assert_array_equal(image, before)


def test_gray_stays_gray():
    gray = np.repeat(_photo()[:, :, :1], 3, axis=2)
    out = JPEG.apply({"quality": 40}, gray)
    np.testing.assert_array_equal(out[:, :, 0], out[:, :, 1])
    np.testing.assert_array_equal(out[:, :, 0], out[:, :, 2])
