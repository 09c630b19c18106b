"""USM against BasicSR's."""

from pathlib import Path

import numpy as np
import skimage
from PIL import Image

from degradations.sharpen import USM

PARAMS = {"kernel_size": 51, "weight": 0.5, "threshold_8bit": 10.0}


def _photo() -> np.ndarray:
    path = Path(skimage.__file__).parent / "data" / "chelsea.png"
    return np.array(Image.open(path).convert("RGB"))[60:156, 100:230].astype(np.float32) / 255


def test_usm_equals_basicsrs_function():
    from basicsr.utils.img_process_util import usm_sharp

    image = _photo()
    difference = np.abs(USM.apply(PARAMS, image) - usm_sharp(image, weight=0.5, radius=50, threshold=10))
    # the threshold is hard: a rounding may flip a pixel of the mask, so the mean is judged
    assert difference.mean() < 1e-6


def test_usm_sharpens_keeps_the_range_and_leaves_flat_images_and_its_input_alone():
    image = _photo()
    before = image.copy()
    sharp = USM.apply(PARAMS, image)
    np.testing.assert_array_equal(image, before)
    assert sharp.std() > image.std()
    assert sharp.min() >= 0
    assert sharp.max() <= 1
    flat = np.full((9, 5, 3), 0.3, np.float32)
    np.testing.assert_allclose(USM.apply(PARAMS, flat), flat, atol=1e-6)
