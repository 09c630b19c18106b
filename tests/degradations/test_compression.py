"""JPEG and WebP against OpenCV called directly, and against Pillow's libjpeg."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
from PIL import Image
from scipy import stats

from degradations import RecipeError
from degradations.compression import JPEG, SUBSAMPLING, WebP
from degradations.pixels import from_8bit, to_8bit
from degradations.registry import Frame


def _photo(height: int = 128, width: int = 160) -> np.ndarray:
    path = Path(skimage.__file__).parent / "data" / "astronaut.png"
    return from_8bit(np.array(Image.open(path).convert("RGB"))[60 : 60 + height, 130 : 130 + width])


@pytest.mark.parametrize("quality", [0, 1, 30, 75, 95, 100])
@pytest.mark.parametrize("size", [(128, 160), (37, 53), (1, 9), (1, 1)])
def test_jpeg_is_what_opencv_makes_of_the_image_in_its_channel_order(quality, size):
    image = _photo(*size)
    bgr = np.ascontiguousarray(to_8bit(image)[:, :, ::-1])
    written = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    expected = cv2.imdecode(written, cv2.IMREAD_COLOR)[:, :, ::-1]
    np.testing.assert_array_equal(to_8bit(JPEG.apply({"quality": quality}, image)), expected)


@pytest.mark.parametrize("quality", [30, 60, 90])
@pytest.mark.parametrize("subsampling", sorted(SUBSAMPLING))
def test_jpeg_agrees_with_pillows_at_the_same_quality_and_subsampling(quality, subsampling):
    image = _photo()
    buffer = io.BytesIO()
    Image.fromarray(to_8bit(image)).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    theirs = np.array(Image.open(buffer)) / 255
    ours = JPEG.apply({"quality": quality, "subsampling": subsampling}, image)
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


def test_the_less_chroma_is_kept_the_worse_it_is():
    image = _photo()
    chroma = [
        np.mean(np.abs((out - image)[:, :, 2] - (out - image)[:, :, 1]))
        for out in (JPEG.apply({"quality": 90, "subsampling": kind}, image) for kind in sorted(SUBSAMPLING))
    ]
    assert chroma[0] > 1.05 * chroma[1] > 1.05 * 1.05 * chroma[2]


@pytest.mark.parametrize("quality", [1, 50, 100])
@pytest.mark.parametrize("size", [(128, 160), (37, 53), (1, 1)])
def test_webp_is_what_opencv_makes_of_the_image_in_its_channel_order_and_loses(quality, size):
    image = _photo(*size) * 1.2 - 0.1
    bgr = np.ascontiguousarray(to_8bit(image)[:, :, ::-1])
    written = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])[1]
    expected = cv2.imdecode(written, cv2.IMREAD_COLOR)[:, :, ::-1]
    out = to_8bit(WebP.apply({"quality": quality}, image))
    np.testing.assert_array_equal(out, expected)
    if size != (1, 1):
        assert (out != to_8bit(image)).any()


@pytest.mark.parametrize("quality", [20, 80])
def test_webp_agrees_with_pillows(quality):
    image = _photo()
    buffer = io.BytesIO()
    Image.fromarray(to_8bit(image)).save(buffer, "WEBP", quality=quality, method=4)
    theirs = np.array(Image.open(buffer).convert("RGB")) / 255
    ours = WebP.apply({"quality": quality}, image)
    loss = np.mean((ours - image) ** 2)
    assert np.mean((ours - theirs) ** 2) < 0.1 * loss


def test_quality_and_subsampling_are_drawn_evenly():
    step, rng = JPEG([10, 12], ["4:4:4", "4:2:0"]), np.random.default_rng(0)
    drawn = [step.sample(rng, Frame((8, 8), (8, 8), (8, 8))) for _ in range(1200)]
    pairs = [(params["quality"], params["subsampling"]) for params in drawn]
    counts = [pairs.count((q, kind)) for q in (10, 11, 12) for kind in ("4:4:4", "4:2:0")]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert sum(counts) == 1200


@pytest.mark.parametrize(("step", "limit"), [(JPEG, 65500), (WebP, 16383)])
def test_an_image_longer_than_the_codec_takes_is_one_line(step, limit):
    assert step.apply({"quality": 50}, np.zeros((1, limit, 3), np.float32)).shape == (1, limit, 3)
    with pytest.raises(RecipeError, match=f"takes {limit} at most"):
        step.apply({"quality": 50}, np.zeros((1, limit + 1, 3), np.float32))
