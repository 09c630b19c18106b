"""Consistency with the LR image and between scales."""

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from realciao.errors import UserError
from realciao.evaluation.folder import evaluate, score
from realciao.images.matlab_resize import resize_levels
from realciao.metrics import build_metric


def unit(levels: np.ndarray) -> np.ndarray:
    return levels.astype(np.float32) / 255


def test_a_result_that_shrinks_to_its_lr_image_is_wholly_consistent_and_one_of_another_tint_is_not():
    rng = np.random.default_rng(0)
    sr = rng.integers(0, 200, (24, 36, 3), dtype=np.uint8)
    lq = resize_levels(sr, (8, 12), "final")
    metric = build_metric("lr_consistency")
    assert metric(unit(sr), unit(lq)) == math.inf
    assert metric(unit(sr + 10), unit(lq)) == pytest.approx(20 * math.log10(255 / 10), abs=0.2)


@pytest.mark.parametrize("name", ["lr_consistency", "scale_consistency"])
def test_the_larger_image_is_made_smaller_whichever_comes_first(name: str):
    rng = np.random.default_rng(0)
    large, small = (rng.integers(0, 256, (n, n + 3, 3), dtype=np.uint8) for n in (30, 17))
    judge = peak_signal_noise_ratio(small, resize_levels(large, (17, 20), "final"))
    metric = build_metric(name)
    assert metric(unit(large), unit(small)) == pytest.approx(judge, abs=1e-6)
    assert metric(unit(small), unit(large)) == pytest.approx(judge, abs=1e-6)


def test_without_the_other_image_there_is_no_score(tmp_path):
    image = np.zeros((12, 12, 3), np.float32)
    with pytest.raises(UserError, match="lr_consistency needs the lq image"):
        build_metric("lr_consistency")(image)
    assert score(image, image, [build_metric("lr_consistency")]) == {}
    from realciao.images.reading import write_image

    write_image(tmp_path / "a.png", image)
    with pytest.raises(UserError, match="lr_consistency need the upscaling itself"):
        evaluate(tmp_path, None, ["lr_consistency"])
