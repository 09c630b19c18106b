"""Recipes: every wrong one is refused in one line that names the key."""

from pathlib import Path

import numpy as np
import pytest

from degradations import RecipeError, build_pipeline
from degradations import target as apply_target
from degradations.pipeline import recipe_names
from degradations.registry import DEGRADATION_REGISTRY, Frame, Step

TO_LR = {"type": "Resize", "relative_to": "lr", "mode": "area"}
BLUR = {"type": "GaussianBlur", "kernel_size": 7, "sigma_px": 1}


def _choice(*options: dict) -> dict:
    return {"type": "Choice", "options": list(options)}


BAD_STEPS = [
    ([{"type": "GaussianBlurr"}], "steps.0.type", "did you mean 'GaussianBlur'?"),
    ([{"sigma_px": 1}], "steps.0.type", "is missing"),
    ([{"type": ["JPEG"]}], "steps.0.type", "is not a step"),
    (["JPEG"], "steps.0", "expected a step"),
    ([], "steps", "expected a list"),
    (None, "steps", "expected a list"),
    ([{**BLUR, "sigma": 1}], "steps.0.sigma", "did you mean 'sigma_px'?"),
    ([{"type": "GaussianBlur", "sigma_px": 1}], "steps.0.kernel_size", "needs it"),
    ([{**BLUR, "sigma_px": [3, 1]}], "steps.0.sigma_px", "low 3 is above high 1"),
    ([{**BLUR, "sigma_px": [1, 2, 3]}], "steps.0.sigma_px", "[low, high]"),
    ([{**BLUR, "sigma_px": "wide"}], "steps.0.sigma_px", "expected a number"),
    ([{**BLUR, "sigma_px": float("nan")}], "steps.0.sigma_px", "expected a number"),
    ([{**BLUR, "sigma_px": True}], "steps.0.sigma_px", "expected a number"),
    ([{**BLUR, "sigma_px": -1}], "steps.0.sigma_px", "must be in"),
    ([{**BLUR, "sigma_px": [0, "2 + 0.2 t"]}], "steps.0.sigma_px", "such as `2 + 0.2 s`"),
    ([{**BLUR, "sigma_px": ["0.5 s", 4]}], "steps.0.sigma_px", "at scale 8.5: low 4.25 is above high 4"),
    ([{**BLUR, "sigma_px": 10**400}], "steps.0.sigma_px", "expected a number"),
    ([{**BLUR, "sigma_px": "s^9999"}], "steps.0.sigma_px", "got inf"),
    ([{"type": "KernelPool", "path": 5}], "steps.0.path", "expected a path, got 5"),
    ([{"type": "KernelPool", "path": "a" * 5000}], "steps.0.path", "no folder with any"),
    ([{"type": "NoisePool", "path": "a\0b"}], "steps.0.path", "expected a path"),
    ([{"type": "NoisePool", "path": "a" * 5000}], "steps.0.path", "there is no folder"),
    ([{"type": "JPEG", "quality": 9, "subsampling": None}], "steps.0.subsampling", "expected a name"),
    ([{**BLUR, "variance_px2": 1}], "steps.0.sigma_px", "one of the two"),
    ([{"type": "GaussianBlur", "kernel_size": 7}], "steps.0.sigma_px", "one of the two"),
    ([{"type": "MotionBlur", "length_px": "10 s"}], "steps.0.length_px", "at scale 10.5: must be in [0, 100]"),
    ([{"type": "MotionBlur", "length_px": 3, "angle_deg": 400}], "steps.0.angle_deg", "in [-360, 360]"),
    ([{"type": "DefocusBlur", "radius_px": -1}], "steps.0.radius_px", "in [0, 50]"),
    ([{**BLUR, "kernel_size": 8}], "steps.0.kernel_size", "odd"),
    ([{**BLUR, "kernel_size": 7.5}], "steps.0.kernel_size", "odd"),
    ([{**BLUR, "isotropic": "yes"}], "steps.0.isotropic", "true or false"),
    ([{**BLUR, "type": "PlateauBlur", "beta": [2, 3]}], "steps.0.beta", "around 1"),
    ([{**BLUR, "prob": 1.5}], "steps.0.prob", "in [0, 1]"),
    ([{"type": "JPEG", "quality": [-1, 95]}], "steps.0.quality", "in [0, 100]"),
    ([{"type": "JPEG", "quality": 50, "subsampling": "4:2:1"}], "steps.0.subsampling", "did you mean"),
    ([{"type": "JPEG", "quality": 50, "subsampling": ["4:4:4", 14520]}], "steps.0.subsampling", "quotes"),
    ([{"type": "WebP", "quality": 0}], "steps.0.quality", "in [1, 100]"),
    (
        [{"type": "GaussianNoise", "sigma_8bit": 1, "gray_prob": 0.7, "correlated_prob": 0.5}],
        "steps.0.correlated_prob",
        "above 1",
    ),
    ([{"type": "ShotNoise", "photons": [0, 100]}], "steps.0.photons", "in [1, 1e+06]"),
    ([{"type": "CameraNoise", "shot": [0.1, 0.01]}], "steps.0.shot", "low 0.1 is above high 0.01"),
    ([{"type": "ChromaShift", "shift_px": 100}], "steps.0.shift_px", "in [-16, 16]"),
    ([{"type": "JPEG", "quality": 30.5}], "steps.0.quality", "whole"),
    ([{**TO_LR, "mode": "bicubik"}], "steps.0.mode", "did you mean 'bicubic'?"),
    ([{**TO_LR, "mode": []}], "steps.0.mode", "a name or a list"),
    ([{**TO_LR, "factor": 1, "divisor": 2}], "steps.0.divisor", "one of the two"),
    ([{**TO_LR, "relative_to": "hr"}], "steps.0.relative_to", "known: image, lr"),
    ([{"type": "GaussianNoise", "sigma_8bit": 1, "gray_prob": -0.1}], "steps.0.gray_prob", "in [0, 1]"),
    ([_choice({**BLUR, "prob": 0.5}, {**BLUR, "prob": 0.4})], "steps.0.options", "sum to 0.9"),
    ([_choice({**BLUR, "prob": 1.5}, {**BLUR, "prob": -0.5})], "steps.0.options.0.prob", "in [0, 1]"),
    ([_choice({**BLUR, "prob": 0.5}, BLUR)], "steps.0.options.1.prob", "is missing"),
    ([_choice()], "steps.0.options", "expected a list"),
    ([{"type": "Sequence", "steps": [TO_LR, {"type": "JPG"}]}], "steps.0.steps.1.type", "did you mean 'JPEG'?"),
    ([{"type": "Shuffle", "steps": []}], "steps.0.steps", "expected a list"),
    ([{"type": "Shuffle", "steps": [BLUR, "JPEG"]}], "steps.0.steps.1", "expected a step"),
    ([{"type": "Shuffle", "steps": [{**BLUR, "in_order": 1}, BLUR]}], "steps.0.steps.0.in_order", "true or false"),
    ([{"type": "Shuffle", "steps": [BLUR, {**BLUR, "in_order": True}]}], "steps.0.steps.1.in_order", "the only one"),
    ([{**BLUR, "in_order": True}], "steps.0.in_order", "unknown key"),
    ([{"type": "Repeat", "times": 17, "steps": [BLUR]}], "steps.0.times", "in [0, 16]"),
    ([{"type": "Repeat", "times": 2, "steps": [{"type": "JPG"}]}], "steps.0.steps.0.type", "did you mean 'JPEG'?"),
    ([{"type": "Restart", "steps": [{"type": "JPG"}]}], "steps.0.steps.0.type", "did you mean 'JPEG'?"),
    ([BLUR], "steps", "resize to `lr`"),
    ([TO_LR, {"type": "Resize", "factor": 0.5, "mode": "area", "prob": 0.5}], "steps", "resize to `lr`"),
]


@pytest.mark.parametrize(("steps", "path", "words"), BAD_STEPS)
def test_a_wrong_step_is_refused_with_its_path(steps, path, words):
    with pytest.raises(RecipeError) as caught:
        build_pipeline({"steps": steps})
    assert caught.value.path == path
    assert words in caught.value.problem
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "path"),
    [
        ({"steps": [TO_LR], "stepz": []}, "stepz"),
        ({}, "steps"),
        ({"steps": [TO_LR], "target": {"type": "USN"}}, "target.type"),
        ({"steps": [TO_LR], "target": {**BLUR, "prob": 0.5}}, "target"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_path(recipe, path):
    with pytest.raises(RecipeError) as caught:
        build_pipeline(recipe)
    assert caught.value.path == path


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(RecipeError, match=f"did you mean 'realesrgan'.*known: {', '.join(recipe_names())}"):
        build_pipeline("real-esrgan")


@pytest.mark.parametrize(
    ("text", "words"),
    [("steps: [", "is not YAML"), ("- 1", "expected a recipe"), ("steps: [{type: JPG}]", "steps.0.type: 'JPG'")],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, words: str):
    path = tmp_path / "mine.yml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        build_pipeline(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"gone\.yml: cannot be read"):
        build_pipeline(str(tmp_path / "gone.yml"))


def test_a_recipe_is_the_same_as_a_file_and_as_a_mapping(tmp_path: Path):
    (tmp_path / "mine.yml").write_text("steps:\n  - {type: Resize, relative_to: lr, mode: [area, bilinear]}\n")
    from_file = build_pipeline(tmp_path / "mine.yml")
    from_mapping = build_pipeline({"name": "mine", "steps": [{**TO_LR, "mode": ["area", "bilinear"]}]})
    for seed in range(5):
        plans = [p.sample(np.random.default_rng(seed), (9, 7), 2) for p in (from_file, from_mapping)]
        assert plans[0] == plans[1]


@pytest.mark.parametrize("name", recipe_names())
def test_the_target_is_the_image_itself_unless_the_recipe_sharpens_it(name):
    image, pipeline = np.random.default_rng(0).random((24, 20, 3), np.float32), build_pipeline(name)
    for seed in range(6):
        plan = pipeline.sample(np.random.default_rng(seed), (24, 20), 2)
        changed = not np.array_equal(apply_target(plan, image), image)
        assert changed == (plan["target"] is not None)
        assert plan["target"] is None or plan["target"]["type"] == "USM"


@pytest.mark.parametrize("scale", [0.5, 0, -2, float("nan"), float("inf"), (2.0, 0.9)])
def test_a_scale_below_one_is_refused(scale):
    with pytest.raises(RecipeError) as caught:
        build_pipeline("bicubic").sample(np.random.default_rng(0), (9, 7), scale)
    assert caught.value.path == "scale"


def test_a_gate_lets_its_step_through_with_its_probability():
    pipeline, rng = build_pipeline({"steps": [{**BLUR, "prob": 0.3}, TO_LR]}), np.random.default_rng(2)
    counts = [len(pipeline.sample(rng, (9, 9), 2)["steps"]) for _ in range(2000)]
    assert np.mean(np.array(counts) == 2) == pytest.approx(0.3, abs=0.04)


def test_options_without_probabilities_are_equally_likely():
    steps = [_choice(BLUR, {"type": "JPEG", "quality": 50}, {"type": "SincBlur", "kernel_size": 7, "cutoff": 1}), TO_LR]
    pipeline, rng = build_pipeline({"steps": steps}), np.random.default_rng(2)
    kinds = [pipeline.sample(rng, (9, 9), 2)["steps"][0]["type"] for _ in range(2000)]
    for kind in ("GaussianBlur", "JPEG", "SincBlur"):
        assert kinds.count(kind) / 2000 == pytest.approx(1 / 3, abs=0.04)


def test_a_step_that_draws_what_json_cannot_hold_is_refused_when_the_recipe_is_built():
    class NumpyStep(Step):
        def sample(self, rng, frame: Frame):
            return {"amount": np.float32(rng.random())}

        @classmethod
        def apply(cls, params, image):
            return image

    DEGRADATION_REGISTRY.register(NumpyStep)
    try:
        with pytest.raises(RecipeError, match="JSON"):
            build_pipeline({"steps": [{"type": "NumpyStep"}, TO_LR]})
    finally:
        del DEGRADATION_REGISTRY._obj_map["NumpyStep"]


@pytest.mark.parametrize(
    "text",
    [
        "steps: &a [{type: Sequence, steps: *a}]",
        "mix: &a [{mix: *a}]",
        f"steps: {'[' * 3000}{']' * 3000}",
        f"steps: [{{type: JPEG, quality: {'9' * 5000}}}]",
        'mix: [{recipe: "a\\0.yml"}]',
    ],
)
def test_a_file_that_no_recipe_can_be_built_from_is_one_line(tmp_path: Path, text: str):
    path = tmp_path / "own.yml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        build_pipeline(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_target_of_another_size_is_refused():
    with pytest.raises(RecipeError, match="target: Resize changes the size"):
        build_pipeline({"target": {"type": "Resize", "mode": "area", "factor": 0.5}, "steps": [TO_LR]})


def test_a_key_that_is_given_twice_is_refused(tmp_path: Path):
    recipe = tmp_path / "twice.yml"
    recipe.write_text(
        "steps:\n  - {type: Resize, relative_to: lr, mode: area}\n  - {type: JPEG, quality: 30, quality: 90}\n"
    )
    with pytest.raises(RecipeError, match=r"twice\.yml: is not YAML: .*the key quality is given twice.*line 3"):
        build_pipeline(recipe)
