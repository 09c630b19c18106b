"""How strongly recipes degrade at x4, against the published pipelines: PSNR of the enlarged LR image to the HR crop."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from jaxtyping import Float
from PIL import Image

from degradations import apply, build_pipeline
from degradations.pipeline import recipe_names
from realciao.data.photos import find_photos

SCALE = 4
SHARED = os.environ.get("REALCIAO_SHARED")
RECORDED = {"realesrgan": (20.26, 3.09), "bsrgan": (19.43, 3.59)}
"""Mean and standard deviation [dB] of the published pipelines on the central 256 x 256 crops of CID22's validation photos.

Twelve draws a photo for Real-ESRGAN, six for BSRGAN: standard errors of the means about 0.06 and 0.1 dB.
"""

Crop = Float[np.ndarray, "n n 3"]


def central_crop(path: Path, edge: int) -> Crop:
    image = np.asarray(Image.open(path).convert("RGB"))
    top, left = ((n - edge) // 2 for n in image.shape[:2])
    return image[top : top + edge, left : left + edge].astype(np.float32) / 255


def psnr(lq: np.ndarray, crop: Crop) -> float:
    enlarged = cv2.resize(lq, crop.shape[:2], interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return float(-10 * np.log10(np.mean((enlarged - crop) ** 2)))


def ours(recipe: str, crops: list[Crop], draws: int) -> Float[np.ndarray, "photos draws"]:
    pipeline = build_pipeline(recipe)
    plans = [
        [pipeline.sample(np.random.default_rng([i, draw]), crop.shape[:2], SCALE) for draw in range(draws)]
        for i, crop in enumerate(crops)
    ]
    return np.array([[psnr(apply(p, crop), crop) for p in of_one] for of_one, crop in zip(plans, crops, strict=True)])


def published(crops: list[Crop], draws: int) -> Float[np.ndarray, "photos draws"]:
    import torch
    from plain_realesrgan import degrade, quick_sharpener, seed

    seed(0)
    scores = np.empty((len(crops), draws))
    for i, crop in enumerate(crops):
        gt = torch.from_numpy(crop).permute(2, 0, 1)[None]
        sharpened = quick_sharpener(gt)  # the same in each draw
        for draw in range(draws):
            lq, _ = degrade(gt, lambda _, sharpened=sharpened: sharpened, len(crop))
            scores[i, draw] = psnr(lq[0].permute(1, 2, 0).numpy(), crop)
    return scores


def test_realesrgan_degrades_as_much_as_basicsrs_own_functions_do_on_the_same_photos() -> None:
    # not retina: flat and dark, it is what the published Poisson law without a floor of levels drowns in noise
    paths = [path for path in find_photos(["builtin", "builtin_val"]) if path.stem != "retina"]
    crops = [central_crop(path, 128) for path in paths]
    mine, theirs = ours("realesrgan", crops, draws=30), published(crops, draws=10)
    error = np.sqrt(sum(scores.var(axis=1, ddof=1).mean() / scores.size for scores in (mine, theirs)))
    assert error < 0.2  # [dB], of the difference: twice that is what is judged
    assert abs(mine.mean() - theirs.mean()) < 0.4
    assert mine.std() == pytest.approx(theirs.std(), abs=0.5)


@pytest.mark.skipif(SHARED is None, reason="REALCIAO_SHARED names no folder with the photos of CID22")
@pytest.mark.parametrize("recipe", RECORDED)
def test_recipes_degrade_as_much_as_the_published_pipelines_were_recorded_to(recipe: str) -> None:
    if recipe not in recipe_names():
        pytest.skip(f"there is no recipe {recipe} yet")
    photos = sorted((Path(str(SHARED)) / "data" / "val" / "CID22").glob("*.png"))
    assert len(photos) == 41
    scores = ours(recipe, [central_crop(path, 256) for path in photos], draws=8)
    mean, spread = RECORDED[recipe]
    assert scores.mean() == pytest.approx(mean, abs=0.4)
    assert scores.std() == pytest.approx(spread, abs=0.4)
