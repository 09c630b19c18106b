"""The CiaoSR and RealSR recipes against the tables of what was published."""

import collections
import math

import numpy as np
import pytest
from scipy import stats

import degradations
from degradations import build_pipeline


def _plans(name: str, count: int, size: tuple[int, int] = (256, 256), scale: float = 4.0) -> list[dict]:
    pipeline, rng = build_pipeline(name), np.random.default_rng(3)
    return [pipeline.sample(rng, size, scale) for _ in range(count)]


@pytest.fixture(scope="module")
def published() -> list[dict]:
    return _plans("ciaosr_published", 1500)


def _p_value(observed: list, expected: dict) -> float:
    counts = collections.Counter(observed)
    assert set(counts) <= set(expected)
    return stats.chisquare([counts[k] for k in expected], [expected[k] * len(observed) for k in expected]).pvalue


def _kernel(step: dict) -> str:
    if step["type"] == "SincBlur":
        return "sinc"
    return step["type"] + ("_iso" if step["sigma_px"][0] == step["sigma_px"][1] else "_aniso")


def test_published_kernels_noises_gates_and_orders_come_as_often_as_configured(published):
    table = {
        "GaussianBlur_iso": 0.405,
        "GaussianBlur_aniso": 0.225,
        "GeneralizedGaussianBlur_iso": 0.108,
        "GeneralizedGaussianBlur_aniso": 0.027,
        "PlateauBlur_iso": 0.108,
        "PlateauBlur_aniso": 0.027,
        "sinc": 0.1,
    }
    assert _p_value([_kernel(plan["steps"][0]) for plan in published], table) > 1e-3
    sizes = [plan["steps"][0]["kernel_size"] for plan in published]
    assert _p_value(sizes, dict.fromkeys(range(7, 22, 2), 1 / 8)) > 1e-3
    kinds = [[step["type"] for step in plan["steps"]] for plan in published]
    noises = [[kind for kind in types if kind.endswith("Noise")] for types in kinds]
    assert {len(pair) for pair in noises} == {2}
    for nth in (0, 1):
        assert _p_value([pair[nth] for pair in noises], {"GaussianNoise": 0.5, "PoissonNoise": 0.5}) > 1e-3
    # blur, resize, noise, JPEG, then a blur eight times out of ten
    assert _p_value([types[4] != "Resize" for types in kinds], {True: 0.8, False: 0.2}) > 1e-3
    assert _p_value([types[-1] == "JPEG" for types in kinds], {True: 0.5, False: 0.5}) > 1e-3
    ends = [types[:-1] if types[-1] == "JPEG" else types for types in kinds]
    assert _p_value([types[-1] == "SincBlur" for types in ends], {True: 0.8, False: 0.2}) > 1e-3


def test_published_jpegs_are_30_to_95_first_and_5_to_50_last(published):
    qualities = [[step["quality"] for step in plan["steps"] if step["type"] == "JPEG"] for plan in published]
    assert _p_value([first for first, _ in qualities], dict.fromkeys(range(30, 96), 1 / 66)) > 1e-3
    assert _p_value([last for _, last in qualities], dict.fromkeys(range(5, 51), 1 / 46)) > 1e-3


def test_the_published_scale_enters_at_the_last_resize_only():
    # the same generator, another scale: nothing before the end differs
    pipeline = build_pipeline("ciaosr_published")
    for seed in range(20):
        plans = [pipeline.sample(np.random.default_rng(seed), (256, 256), scale) for scale in (1.5, 4.0)]
        resizes = [[step for step in plan["steps"] if step["type"] == "Resize"] for plan in plans]
        assert resizes[0][:2] == resizes[1][:2]
        assert [steps[2]["size"] for steps in resizes] == [plan["lr_size"] for plan in plans]
        step = resizes[0][1]
        assert 0.29 <= step["size"][0] / step["from"][0] <= 1.21


def test_the_published_scale_rule_enlarges_near_one_as_the_simulation_says():
    # ratio of the LR size to the smallest in between: s in [1, 1.5) median 1.33, 95 % 4.98; s in [3, 4) median 0.47
    ratios = {}
    for low, high in ((1, 1.5), (3, 4)):
        pipeline, rng = build_pipeline("ciaosr_published"), np.random.default_rng(8)
        found = []
        for _ in range(1000):
            plan = pipeline.sample(rng, (400, 400), float(rng.uniform(low, high)))
            between = [step["size"][0] for step in plan["steps"] if step["type"] == "Resize"][:2]
            found.append(plan["lr_size"][0] / min(400, *between))
        ratios[low] = found
    assert np.median(ratios[1]) == pytest.approx(1.33, abs=0.1)
    assert np.percentile(ratios[1], 95) == pytest.approx(4.98, abs=0.4)
    assert np.median(ratios[3]) == pytest.approx(0.47, abs=0.04)


def test_a_beta_drawn_twice_has_the_law_of_two_draws(published):
    betas = [s["beta"] for plan in published for s in plan["steps"] if s["type"] == "PlateauBlur"]
    # 1 + U V with U and V uniform: P(beta < 1 + t) = t (1 - ln t)
    assert stats.kstest(np.array(betas) - 1, lambda t: t * (1 - np.log(np.maximum(t, 1e-12)))).pvalue > 0.01
    betas = np.array([s["beta"] for plan in published for s in plan["steps"] if s["type"] == "GeneralizedGaussianBlur"])
    assert 0.5 <= betas.min() <= betas.max() <= 4
    assert stats.binomtest(int((betas < 1).sum()), len(betas), 0.5 / 3.5).pvalue > 1e-3


def test_the_papers_recipe_is_real_esrgans():
    ours, theirs = build_pipeline("ciaosr_paper"), build_pipeline("realesrgan")
    rng = np.random.default_rng(4)
    plan = ours.sample(np.random.default_rng(4), (64, 64), 3.3)
    rng.random()
    assert plan == {**theirs.sample(rng, (64, 64), 3.3), "recipe": "ciaosr_paper/realesrgan"}


def test_realsr_says_that_it_goes_without_pools_and_degrades():
    image = np.random.default_rng(0).random((64, 64, 3), np.float32)
    for plan in _plans("realsr", 20, (64, 64), 2.7):
        kernel, resize, noise = plan["steps"]
        assert (kernel["type"], resize["type"], noise["type"]) == ("KernelPool", "Resize", "NoisePool")
        assert kernel["source"] == noise["source"] == "synthesised"
        assert plan["target"] is None
        np.testing.assert_array_equal(degradations.target(plan, image), image)
        # the same without the noise is another image, and not far
        without = degradations.apply({**plan, "steps": [kernel, resize]}, image)
        difference = degradations.apply(plan, image) - without
        assert 0.3 * noise["sigma_8bit"] / 255 < difference.std() < 1.5 * noise["sigma_8bit"] / 255 + 0.5 / 255


def test_gates_of_the_camera_recipe_come_as_often_as_written():
    mix, rng = build_pipeline("mix"), np.random.default_rng(3)
    plans = [mix.options[-1].sample(rng, (64, 64), 2.0) for _ in range(1000)]
    assert {plan["recipe"] for plan in plans} == {"camera"}
    kinds = [[step["type"] for step in plan["steps"]] for plan in plans]
    gates = {"CameraNoise": 0.8, "ChromaShift": 0.3, "USM": 0.5, "JPEG": 0.72, "WebP": 0.18, "DefocusBlur": 0.14}
    for kind, prob in gates.items():
        assert _p_value([kind in types for types in kinds], {True: prob, False: 1 - prob}) > 1e-3
    shots = [math.log(s["shot"]) for plan in plans for s in plan["steps"] if s["type"] == "CameraNoise"]
    low, high = math.log(1e-4), math.log(0.006)
    assert stats.kstest(shots, stats.uniform(low, high - low).cdf).pvalue > 0.01
