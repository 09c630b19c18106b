"""How severe a recipe is, in numbers over many plans and images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from degradations import Pipeline, build_pipeline, target
from degradations.measure import Measured, effective_blur_px, measure_steps
from realciao.images.reading import from_float, to_float
from realciao.recipe_views.gallery import psnr_db
from realciao.recipe_views.plans import drawn_plans

CROP_PX = 256
"""Edge of the middle part of each image that is degraded; smaller images are taken whole."""
PERCENTILES = (5, 25, 50, 75, 95)

Picture = Float[np.ndarray, "h w 3"]
Summary = dict[str, float]


@dataclass(frozen=True)
class Row:
    """One plan carried out on one image."""

    image: str
    scale: float
    psnr_db: float
    """of the result enlarged by bicubic interpolation, against the image"""
    psnr_bicubic_db: float
    """the same where nothing but bicubic downscaling was done"""
    blur_sigma_px: float
    """of the Gaussian that blurs as much as all blurs and resizes together, HR px"""
    noise_sigma_8bit: list[float]
    """of each noise, in order"""
    resize_factor: list[float]
    quality: list[int]


QUANTITIES = {
    "psnr_db": "PSNR of the pair [dB]",
    "blur_sigma_px": "effective blur, sigma [HR px]",
    "noise_sigma_8bit": "noise of each step, sigma [1/255]",
    "resize_factor": "resize factor of each step",
    "quality": "quality of each codec",
}
SUMMARISED = ("psnr_bicubic_db", *QUANTITIES)


def middle(image: Picture) -> Picture:
    """The middle CROP_PX x CROP_PX of an image, or what there is."""
    top, left = (max(0, (n - CROP_PX) // 2) for n in image.shape[:2])
    return np.ascontiguousarray(image[top : top + CROP_PX, left : left + CROP_PX])


def measure_image(
    pipeline: Pipeline, name: str, image: Picture, scales: Sequence[float], seed: int, numbers: Sequence[int]
) -> list[Row]:
    """Rows of one image: for every scale the plans of the same running numbers, so that scales can be compared.

    Raises:
        RecipeError: a step cannot be carried out.
    """
    rows = []
    bicubic = build_pipeline("bicubic")
    for scale in scales:
        make_plan = drawn_plans(pipeline, scale, seed)
        reference = _degrade(bicubic.sample(np.random.default_rng(0), image.shape[:2], scale), image)[1]
        for number in numbers:
            plan = make_plan(number, image.shape[:2])
            found, psnr = _degrade(plan, image)
            rows.append(Row(name, scale, psnr, reference, effective_blur_px(plan), **vars(found)))
    return rows


def _degrade(plan: dict[str, Any], image: Picture) -> tuple[Measured, float]:
    found, last = measure_steps(plan, target(plan, image))
    return found, psnr_db(to_float(from_float(last, np.uint8)), image)


def summarise(rows: Sequence[Row]) -> dict[str, dict[str, Summary]]:
    """For every scale and every quantity: how many, mean, standard deviation and percentiles."""
    scales = sorted({row.scale for row in rows})
    return {f"{scale:g}": {key: _summary(values(rows, key, scale)) for key in SUMMARISED} for scale in scales}


def values(rows: Sequence[Row], key: str, scale: float) -> Float[np.ndarray, "n"]:
    """All values of a quantity at one scale; a row may have several, or none."""
    return np.array([value for row in rows if row.scale == scale for value in np.atleast_1d(getattr(row, key))], float)


def _summary(found: Float[np.ndarray, "n"]) -> Summary:
    if not found.size:
        return {"n": 0}
    percentiles = zip(PERCENTILES, np.percentile(found, PERCENTILES).tolist(), strict=True)
    summary = {"n": found.size, "mean": float(found.mean()), "sd": float(found.std())}
    return summary | {f"p{percent}": value for percent, value in percentiles}
