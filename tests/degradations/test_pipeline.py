"""Plans: what they hold, that they repeat bit for bit, what they are drawn from, and that no input breaks them."""

import collections
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import degradations
from degradations import RecipeError, build_pipeline
from degradations.pipeline import recipe_names

NAMES = tuple(recipe_names())
BLUR = {
    "type": "Choice",
    "options": [
        {"type": "MotionBlur", "length_px": [0, "6 s"]},
        {"type": "DefocusBlur", "radius_px": [0, "3 s"]},
        {"type": "KernelPool"},
        {"type": "GaussianBlur", "kernel_size": [1, 101], "variance_px2": [0, "4 s^2"], "isotropic": False},
    ],
}
LANCZOS = {"type": "Resize", "mode": "lanczos", "divisor": ["0.5 s^-1", "4 s"]}
OPTICS = {
    "steps": [
        {"type": "Repeat", "times": [0, 2], "steps": [{"type": "Shuffle", "steps": [BLUR, LANCZOS]}]},
        {"type": "Restart", "steps": [BLUR, {**LANCZOS, "antialias": True}]},
        {"type": "Resize", "relative_to": "lr", "mode": "lanczos"},
    ]
}
PIPELINES = {name: build_pipeline(name) for name in NAMES} | {"optics": build_pipeline(OPTICS)}


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[0, seed]))


def _image(height: int = 48, width: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_survives_json_bit_for_bit(name):
    image = _image()
    for seed in range(8):
        plan = PIPELINES[name].sample(_rng(seed), (48, 40), 2.3)
        again = json.loads(json.dumps(plan))
        assert again == plan
        np.testing.assert_array_equal(degradations.apply(again, image), degradations.apply(plan, image))
        np.testing.assert_array_equal(degradations.target(again, image), degradations.target(plan, image))


def test_the_same_generator_gives_the_same_plan_and_another_another():
    pipeline = PIPELINES["realesrgan"]
    assert pipeline.sample(_rng(5), (64, 64), 4) == pipeline.sample(_rng(5), (64, 64), 4)
    assert pipeline.sample(_rng(5), (64, 64), 4) != pipeline.sample(_rng(6), (64, 64), 4)


def test_neither_sampling_nor_applying_touches_numpys_global_generator_or_the_input():
    pipeline, image = PIPELINES["realesrgan"], _image()
    kept = image.copy()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    for seed in range(10):
        degradations.apply(pipeline.sample(_rng(seed), (48, 40), 2), image)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.testing.assert_array_equal(image, kept)


def test_the_degraded_image_starts_from_the_sharpened_target():
    image = _image()
    plan = PIPELINES["realesrgan"].sample(_rng(3), (48, 40), 2)
    sharpened = degradations.target(plan, image)
    assert np.abs(sharpened - image).max() > 0.05
    unsharpened_plan = {**plan, "target": None}
    np.testing.assert_array_equal(degradations.target(unsharpened_plan, image), image)
    np.testing.assert_array_equal(degradations.apply(plan, image), degradations.apply(unsharpened_plan, sharpened))


def test_pair_is_apply_and_target():
    image = _image()
    plan = PIPELINES["realesrgan"].sample(_rng(4), (48, 40), 3)
    lq, sharpened = degradations.pair(plan, image)
    np.testing.assert_array_equal(lq, degradations.apply(plan, image))
    np.testing.assert_array_equal(sharpened, degradations.target(plan, image))


def test_the_bicubic_recipe_at_scale_one_changes_nothing():
    image = np.rint(_image() * 255).astype(np.float32) / np.float32(255)
    plan = PIPELINES["bicubic"].sample(_rng(0), (48, 40), 1)
    np.testing.assert_array_equal(degradations.apply(plan, image), image)
    np.testing.assert_array_equal(degradations.target(plan, image), image)


@pytest.mark.parametrize("scale", [1, 1.37, 2, 3.3, 16, (2.0, 3.7)])
def test_the_lr_size_is_the_rounded_quotient_along_each_axis(scale):
    scale_y, scale_x = scale if isinstance(scale, tuple) else (scale, scale)
    plan = PIPELINES["realesrgan"].sample(_rng(0), (50, 33), scale)
    assert plan["lr_size"] == [max(1, round(50 / scale_y)), max(1, round(33 / scale_x))]
    assert list(degradations.apply(plan, _image(50, 33)).shape) == [*plan["lr_size"], 3]


EXTREMES = {
    "noise": lambda h, w: _image(h, w),
    "black": lambda h, w: np.zeros((h, w, 3), np.float32),
    "white": lambda h, w: np.ones((h, w, 3), np.float32),
    "checkerboard": lambda h, w: np.repeat((np.indices((h, w)).sum(0) % 2)[:, :, None], 3, 2).astype(np.float32),
    "colour": lambda h, w: np.tile(np.array([1, 0, 1], np.float32), (h, w, 1)),
}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(PIPELINES)),
    st.sampled_from(sorted(EXTREMES)),
    st.integers(8, 70),
    st.integers(8, 70),
    st.floats(1, 16),
    st.floats(1, 16),
    st.integers(0, 10_000),
)
def test_any_image_at_any_scale_becomes_an_8_bit_image_of_the_right_size(name, kind, h, w, scale_y, scale_x, seed):
    plan = PIPELINES[name].sample(_rng(seed), (h, w), (scale_y, scale_x))
    lq = degradations.apply(plan, EXTREMES[kind](h, w))
    assert list(lq.shape) == [max(1, round(h / scale_y)), max(1, round(w / scale_x)), 3]
    assert lq.dtype == np.float32
    np.testing.assert_array_equal(lq, np.rint(np.clip(lq, 0, 1) * 255).astype(np.float32) / np.float32(255))


def test_realesrgan_keeps_gray_gray_where_its_noise_is_gray():
    gray = np.repeat(_image()[:, :, :1], 3, axis=2)
    pipeline = PIPELINES["realesrgan"]
    checked = 0
    for seed in range(40):
        plan = pipeline.sample(_rng(seed), (48, 40), 2)
        if all(step.get("gray", True) for step in plan["steps"]):
            lq = degradations.apply(plan, gray)
            assert np.ptp(lq, axis=2).max() <= 1.01 / 255
            checked += 1
    assert checked >= 3


@pytest.fixture(scope="module")
def plans() -> list[dict]:
    pipeline, rng = PIPELINES["realesrgan"], _rng(1)
    return [pipeline.sample(rng, (256, 256), 4) for _ in range(3000)]


def _chi_square(observed: list, expected: dict) -> float:
    counts = collections.Counter(observed)
    assert set(counts) <= set(expected)
    keys = sorted(expected, key=str)
    return stats.chisquare([counts[k] for k in keys], [expected[k] * len(observed) for k in keys]).pvalue


def _kernel(step: dict) -> str:
    if step["type"] == "SincBlur":
        return "sinc"
    return step["type"] + ("_iso" if step["sigma_px"][0] == step["sigma_px"][1] else "_aniso")


def test_the_first_kernels_come_as_often_as_the_table_says(plans):
    # Real-ESRGAN: sinc 0.1, else iso .45 aniso .25 gen_iso .12 gen_aniso .03 plateau_iso .12 plateau_aniso .03
    table = {"sinc": 0.1}
    families = ("GaussianBlur", 0.45, 0.25), ("GeneralizedGaussianBlur", 0.12, 0.03), ("PlateauBlur", 0.12, 0.03)
    for family, iso, aniso in families:
        table |= {f"{family}_iso": 0.9 * iso, f"{family}_aniso": 0.9 * aniso}
    assert _chi_square([_kernel(plan["steps"][0]) for plan in plans], table) > 1e-3
    sizes = [plan["steps"][0]["kernel_size"] for plan in plans]
    assert _chi_square(sizes, dict.fromkeys(range(7, 22, 2), 1 / 8)) > 1e-3
    sincs = [plan["steps"][0] for plan in plans if plan["steps"][0]["type"] == "SincBlur"]
    assert all(step["cutoff"] >= (1 / 3 if step["kernel_size"] < 13 else 1 / 5) - 1e-6 for step in sincs)


def test_resizes_go_up_down_and_nowhere_as_often_as_the_table_says(plans):
    def way(step: dict, reference: int) -> str:
        return "up" if step["size"][0] > reference else "down" if step["size"][0] < reference else "keep"

    resizes = [[step for step in plan["steps"] if step["type"] == "Resize"] for plan in plans]
    assert {len(steps) for steps in resizes} == {3}
    # a factor within half a pixel of 1 keeps the size as well: 0.5/256 of a range of 0.5 or 0.85, 0.5/64 of 0.2 or 0.7
    near = 0.2 * 0.5 / 256 / 0.5, 0.7 * 0.5 / 256 / 0.85, 0.3 * 0.5 / 64 / 0.2, 0.4 * 0.5 / 64 / 0.7
    first = {"up": 0.2 - near[0], "down": 0.7 - near[1], "keep": 0.1 + near[0] + near[1]}
    second = {"up": 0.3 - near[2], "down": 0.4 - near[3], "keep": 0.3 + near[2] + near[3]}
    assert _chi_square([way(steps[0], 256) for steps in resizes], first) > 1e-3
    assert _chi_square([way(steps[1], 64) for steps in resizes], second) > 1e-3
    for i in (1, 2):
        modes = [steps[i]["mode"] for steps in resizes]
        assert _chi_square(modes, dict.fromkeys(("area", "bilinear", "bicubic"), 1 / 3)) > 1e-3


def test_noise_second_blur_last_sinc_and_order_come_as_often_as_the_table_says(plans):
    half = {True: 0.5, False: 0.5}
    often = {True: 0.8, False: 0.2}
    kinds = [[step["type"] for step in plan["steps"]] for plan in plans]
    noises = [[kind for kind in types if kind.endswith("Noise")] for types in kinds]
    assert _chi_square([types[0] == "PoissonNoise" for types in noises], half) > 1e-3
    assert _chi_square([types[1] == "PoissonNoise" for types in noises], half) > 1e-3
    assert _chi_square([types[types.index("JPEG") + 1] != "Resize" for types in kinds], often) > 1e-3
    assert _chi_square([types[-1] == "JPEG" for types in kinds], half) > 1e-3
    ends = [types[:-1] if types[-1] == "JPEG" else types for types in kinds]
    assert _chi_square([types[-1] == "SincBlur" for types in ends], often) > 1e-3
    grays = [step["gray"] for plan in plans for step in plan["steps"] if "gray" in step]
    assert _chi_square(grays, {True: 0.4, False: 0.6}) > 1e-3
    qualities = [step["quality"] for plan in plans for step in plan["steps"] if step["type"] == "JPEG"]
    assert _chi_square(qualities, dict.fromkeys(range(30, 96), 1 / 66)) > 1e-3


def test_continuous_parameters_are_uniform_in_their_ranges(plans):
    def drawn(kind: str, key: str, nth: int) -> list[float]:
        found = ([step for step in plan["steps"] if step["type"].endswith("Noise")] for plan in plans)
        return [steps[nth][key] for steps in found if steps[nth]["type"] == kind]

    ranges = (("GaussianNoise", "sigma_8bit", (1, 30), (1, 25)), ("PoissonNoise", "scale", (0.05, 3), (0.05, 2.5)))
    for kind, key, *bounds in ranges:
        for nth, (low, high) in enumerate(bounds):
            assert stats.kstest(drawn(kind, key, nth), stats.uniform(low, high - low).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"version": 2}, "version"),
        ({"size": [9, 9]}, "size"),
        ({"lr_size": [3, 3]}, "lr_size"),
        ({"steps": None}, "steps"),
        ({"steps": [{"type": "Blurr"}]}, "steps.0.type"),
        ({"steps": [{"type": "Choice"}]}, "steps.0.type"),
        ({"steps": [{"type": "JPEG"}]}, "steps.0"),
        ({"steps": [{"type": "JPEG", "quality": "high"}]}, "steps.0.quality"),
        ({"steps": ["JPEG"]}, "steps.0"),
        ({"target": {"type": "USM"}}, "target"),
        ({"target": {"type": "Resize", "mode": "area", "antialias": False, "size": [24, 20]}}, "target"),
        ({"lr_size": [0, 3]}, "lr_size"),
        ({"lr_size": 3}, "lr_size"),
        ({"steps": [{"type": "MotionBlur", "length_px": 1e9, "angle_deg": 0}]}, "steps.0.length_px"),
        ({"steps": [{"type": "ChromaShift", "shift_px": [0, 1e9]}]}, "steps.0.shift_px"),
        ({"steps": [{"type": "SincBlur", "kernel_size": 10**6 + 1, "cutoff": 1}]}, "steps.0.kernel_size"),
        ({"steps": [{"type": "Resize", "mode": "area", "antialias": False, "size": [10**6] * 2}]}, "steps.0.size"),
        (
            {"steps": [{"type": "GaussianNoise", "sigma_8bit": math.nan, "gray": False, "seed": 0}]},
            "steps.0.sigma_8bit",
        ),
        ({"steps": [{"type": "PoissonNoise", "scale": None, "gray": False, "min_levels": 1}]}, "steps.0.scale"),
        ({"steps": [{"type": "ShotNoise", "photons": 0, "gray": False, "seed": 0}]}, "steps.0.photons"),
    ],
)
def test_a_damaged_plan_is_refused_with_the_place_of_the_damage(change, path):
    plan = PIPELINES["realesrgan"].sample(_rng(0), (48, 40), 2)
    with pytest.raises(RecipeError) as caught:
        degradations.apply({**plan, **change}, _image())
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


def test_images_that_are_not_finite_floats_are_refused():
    plan = PIPELINES["realesrgan"].sample(_rng(0), (48, 40), 2)
    with pytest.raises(ValueError, match="NaN"):
        degradations.apply(plan, np.full((48, 40, 3), np.nan, np.float32))
    with pytest.raises(TypeError, match="float32"):
        degradations.apply(plan, np.zeros((48, 40, 3)))
    with pytest.raises(TypeError, match="RGB"):
        degradations.apply(plan, np.zeros((48, 40), np.float32))
