"""What plans do, measured, against what is known of their steps."""

import math

import numpy as np
import pytest

from degradations import apply, build_pipeline, target, trace
from degradations.measure import effective_blur_px, measure_steps
from degradations.plan import Plan

AREA_TO_LR = {"type": "Resize", "relative_to": "lr", "mode": "area"}


def plan_of(*steps: dict[str, object], size: tuple[int, int] = (96, 80), scale: float = 1.0) -> Plan:
    return build_pipeline({"steps": [*steps, AREA_TO_LR]}).sample(np.random.default_rng(0), size, scale)


@pytest.mark.parametrize("sigma", [1, 2, 3.5])
def test_of_one_gaussian_the_effective_blur_is_its_sigma(sigma: float) -> None:
    plan = plan_of({"type": "GaussianBlur", "kernel_size": 31, "sigma_px": sigma})
    assert effective_blur_px(plan) == pytest.approx(sigma, rel=0.01)


def test_gaussians_add_in_quadrature() -> None:
    blurs = [{"type": "GaussianBlur", "kernel_size": 31, "sigma_px": sigma} for sigma in (1.5, 2.0)]
    assert effective_blur_px(plan_of(*blurs)) == pytest.approx(2.5, rel=0.01)


@pytest.mark.parametrize("scale", [2.0, 4.0, 8.0])
def test_area_downscaling_blurs_as_a_box_of_the_scale_does(scale: float) -> None:
    # a box of width s has the standard deviation s / sqrt(12)
    assert effective_blur_px(plan_of(size=(256, 256), scale=scale)) == pytest.approx(scale / math.sqrt(12), rel=0.15)


def test_noise_and_compression_do_not_blur() -> None:
    noisy = plan_of({"type": "GaussianNoise", "sigma_8bit": 50}, {"type": "JPEG", "quality": 5})
    assert effective_blur_px(noisy) == pytest.approx(0, abs=0.05)


def test_an_anisotropic_blur_counts_by_its_mean_square_however_it_is_turned() -> None:
    for theta in (0.0, 0.7, math.pi / 2):
        plan = plan_of({"type": "GaussianBlur", "kernel_size": 31, "sigma_px": [1, 3], "isotropic": False})
        plan["steps"][0] |= {"sigma_px": [1.0, 3.0], "theta": theta}
        assert effective_blur_px(plan) == pytest.approx(math.sqrt(5), rel=0.02)


def test_steps_are_measured_by_what_they_do() -> None:
    plan = plan_of(
        {"type": "GaussianNoise", "sigma_8bit": 6},
        {"type": "Resize", "factor": 0.5, "mode": "area"},
        {"type": "JPEG", "quality": 80},
        {"type": "GaussianNoise", "sigma_8bit": 3, "gray_prob": 1.0},
        {"type": "JPEG", "quality": 40},
        size=(64, 64),
    )
    found, last = measure_steps(plan, np.full((64, 64, 3), 0.5, np.float32))
    assert found.noise_sigma_8bit == pytest.approx([6, 3], rel=0.05)
    assert found.resize_factor == pytest.approx([0.5, 2])
    assert found.quality == [80, 40]
    assert last.shape == (64, 64, 3)


def test_a_trace_ends_with_what_apply_gives() -> None:
    image = np.random.default_rng(0).random((40, 33, 3), np.float32)
    plan = build_pipeline("realesrgan").sample(np.random.default_rng(1), (40, 33), 2.7)
    states = list(trace(plan, target(plan, image)))
    assert [step for step, _ in states] == plan["steps"]
    np.testing.assert_array_equal(np.rint(np.clip(states[-1][1], 0, 1) * 255), np.rint(apply(plan, image) * 255))
