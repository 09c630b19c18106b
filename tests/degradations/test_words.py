"""Steps of plans in words."""

import numpy as np
import pytest
from jaxtyping import Float

from degradations import RecipeError, build_pipeline, describe
from degradations.pipeline import recipe_names
from degradations.registry import DEGRADATION_REGISTRY, Params, Step
from degradations.words import describe as in_words


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            {"type": "GaussianBlur", "kernel_size": 13, "sigma_px": [1.2, 2.4], "theta": 0.576},
            "Gaussian blur: kernel 13 px, sigma 1.2 x 2.4 px, turned 33 degrees",
        ),
        (
            {"type": "GeneralizedGaussianBlur", "kernel_size": 7, "sigma_px": [0.5, 0.5], "theta": 0.0, "beta": 1.25},
            "Generalized Gaussian blur: kernel 7 px, sigma 0.5 px, beta 1.25",
        ),
        ({"type": "JPEG", "quality": 57}, "JPEG: quality 57"),
        (
            {"type": "GaussianNoise", "sigma_8bit": 12.345, "gray": True, "seed": 7},
            "Gaussian noise: sigma 12.3/255, gray",
        ),
        (
            {"type": "PoissonNoise", "scale": 0.5, "gray": False, "min_levels": 64, "seed": 7},
            "Poisson noise: scale 0.5, min levels 64",
        ),
        (
            {"type": "Resize", "mode": "bicubic", "antialias": True, "from": [100, 200], "size": [33, 67]},
            "Resize: bicubic, antialias, to 67 x 33 px (x0.33)",
        ),
        (
            {"type": "Resize", "mode": "area", "antialias": False, "from": [100, 100], "size": [50, 25]},
            "Resize: area, to 25 x 50 px (x0.25 by x0.5)",
        ),
    ],
)
def test_a_step_is_said_with_its_units(step: Params, words: str) -> None:
    assert describe(step) == words


def test_whole_kernels_and_matrices_are_not_spelled_out() -> None:
    params = {"type": "Pooled", "kernel": [[0.1] * 21] * 21, "weights": [0.1] * 9, "source": "a.npy", "none": None}
    assert (
        in_words("KernelPool", params) == "Kernel pool: kernel of 21 x 21 numbers, weights of 9 numbers, source a.npy"
    )
    assert in_words("WebP", {}) == "WebP"


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_step_that_a_recipe_draws_is_one_line_without_its_seed(recipe: str) -> None:
    pipeline, rng = build_pipeline(recipe), np.random.default_rng(0)
    for _ in range(20):
        for step in pipeline.sample(rng, (64, 48), 3.3)["steps"]:
            words = describe(step)
            assert words
            assert "\n" not in words
            assert len(words) < 200
            assert str(step.get("seed", "seed")) not in words


def test_a_step_may_have_its_own_words() -> None:
    class Veil(Step):
        def sample(self, rng, frame):  # type: ignore[no-untyped-def]
            return {}

        @classmethod
        def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
            return image

        @classmethod
        def describe(cls, params: Params) -> str:
            return f"a veil over {params['share']:.0%}"

    DEGRADATION_REGISTRY._do_register("VeilOfTheTest", Veil)
    try:
        assert describe({"type": "VeilOfTheTest", "share": 0.3}) == "a veil over 30%"
    finally:
        del DEGRADATION_REGISTRY._obj_map["VeilOfTheTest"]


def test_what_is_no_step_has_no_words() -> None:
    with pytest.raises(RecipeError, match="belongs in a recipe"):
        describe({"type": "Choice"})
