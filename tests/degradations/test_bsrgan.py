"""The recipes of BSRGAN against its published code: order, ranges, and its shifted kernel."""

import numpy as np
import pytest
from scipy import ndimage, stats

from degradations import build_pipeline
from degradations.blur import GaussianBlur
from degradations.resize import Resize


def _plans(name: str, scale: float, n: int, size: tuple[int, int] = (256, 256)) -> list[dict]:
    pipeline, rng = build_pipeline(name), np.random.default_rng(0)
    return [pipeline.sample(rng, size, scale) for _ in range(n)]


def _of(plan: dict, kind: str) -> list[dict]:
    return [step for step in plan["steps"] if step["type"] == kind]


def _share(truths: list[bool]) -> float:
    return float(np.mean(truths))


@pytest.fixture(scope="module")
def plans() -> list[dict]:
    return _plans("bsrgan", 4, 2000)


@pytest.fixture(scope="module")
def unhalved(plans: list[dict]) -> list[dict]:
    """Of the plans those that go from x4 to LR in the shuffled steps alone."""
    return [plan for plan in plans if len(_of(plan, "Resize")) == 2]


def test_every_fourth_image_is_halved_first_at_x4(plans, unhalved):
    assert len(unhalved) / len(plans) == pytest.approx(0.75, abs=0.03)
    halved = [plan["steps"][0] for plan in plans if len(_of(plan, "Resize")) == 3]
    assert {(step["type"], *step["size"]) for step in halved} == {("Resize", 128, 128)}
    assert _share([step["antialias"] for step in halved]) == pytest.approx(0.5, abs=0.06)


def test_operations_come_in_any_order_but_the_last_resize_after_the_other(unhalved):
    orders = []
    for plan in unhalved:
        steps = plan["steps"]
        assert steps[-1]["type"] == "JPEG"
        resizes = _of(plan, "Resize")
        assert resizes[1]["size"] == [64, 64]
        first = steps.index(resizes[0])
        last = steps.index(resizes[1])
        noise = steps.index(_of(plan, "GaussianNoise")[0])
        orders.append((first < noise) + (last < noise))
    # two resizes in order leave the noise three places, as likely as each other
    assert stats.chisquare(np.bincount(orders)).pvalue > 1e-3
    shares = [len(_of(plan, "JPEG")) - 1 for plan in unhalved]
    assert _share([n == 1 for n in shares]) == pytest.approx(0.9, abs=0.02)


def test_blurs_are_drawn_as_published(unhalved):
    blurs = [step for plan in unhalved for step in _of(plan, "GaussianBlur")]
    anisotropic = [step for step in blurs if step["theta"] != 0]
    assert len(anisotropic) / (2 * len(unhalved)) == pytest.approx(0.5, abs=0.03)
    sizes = [step["kernel_size"] for step in anisotropic]
    assert stats.chisquare(np.unique(sizes, return_counts=True)[1]).pvalue > 1e-3
    assert set(sizes) == set(range(7, 26, 2))
    variances = np.array([step["sigma_px"] for step in anisotropic]).ravel() ** 2
    assert stats.kstest(variances, stats.uniform(0, 4 + 4).cdf).pvalue > 1e-3
    isotropic = [step["sigma_px"][0] for step in blurs if step["theta"] == 0 and step["kernel_size"] < 25]
    assert stats.kstest(isotropic, stats.uniform(0, 2 + 0.2 * 4).cdf).pvalue > 1e-3


def test_the_first_resize_divides_by_up_to_twice_the_scale_or_is_the_shifted_one(unhalved):
    firsts = [_of(plan, "Resize")[0] for plan in unhalved]
    # the shifted one leads to 64 px by linear interpolation; a divisor of 4 that another draw hits is rare
    divisors = [256 / step["size"][0] for step in firsts if step["size"] != [64, 64]]
    assert len(divisors) / len(firsts) == pytest.approx(0.75, abs=0.03)
    assert stats.kstest(divisors, stats.uniform(1, 2 * 4 - 1).cdf).statistic < 0.03


def test_noise_is_drawn_as_published(plans):
    noises = [step for plan in plans for step in _of(plan, "GaussianNoise")]
    assert len(noises) == len(plans)
    correlated = [step for step in noises if "correlation" in step]
    assert len(correlated) / len(noises) == pytest.approx(0.2, abs=0.03)
    assert {step["sigma_8bit"] for step in correlated} == {25.0}
    assert _share([step["gray"] for step in noises]) == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("sigma_share", [0.1, 0.6])
def test_a_gaussian_and_linear_interpolation_are_the_published_shifted_kernel_and_every_sth_pixel(scale, sigma_share):
    image = np.random.default_rng(0).random((30 * scale, 24 * scale, 3), np.float32)
    sigma = max(0.1, sigma_share * scale)
    offset = np.arange(25) - 12
    kernel = np.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2) / (2 * sigma**2))
    shifted = ndimage.shift(kernel, -(scale - 1) / 2, order=1, mode="nearest")
    shifted /= shifted.sum()
    published = ndimage.convolve(image.astype(np.float64), shifted[:, :, None], mode="mirror")[::scale, ::scale]
    blurred = GaussianBlur.apply({"kernel_size": 25, "sigma_px": [sigma, sigma], "theta": 0.0}, image)
    ours = Resize.apply({"mode": "bilinear", "antialias": False, "size": [30, 24]}, blurred)
    inside = slice(None, -7), slice(None, -7)
    np.testing.assert_allclose(ours[inside], published[inside], atol=3e-5)


def test_bsrgan_plus_keeps_its_order_nine_times_of_ten_and_ends_with_a_resize_and_a_jpeg():
    plans = _plans("bsrgan_plus", 4, 1000)
    canonical = 0
    for plan in plans:
        kinds = [step["type"] for step in plan["steps"]]
        assert kinds[-2:] == ["Resize", "JPEG"]
        assert [kinds.count(kind) for kind in ("GaussianBlur", "Resize", "GaussianNoise", "JPEG")] == [2, 3, 2, 2]
        groups = [kind for kind in kinds if not kind.endswith("Noise")]
        middle = kinds.index("JPEG")
        ordered = groups == ["GaussianBlur", "Resize", "JPEG", "GaussianBlur", "Resize", "Resize", "JPEG"]
        canonical += ordered and all(kind.endswith("Noise") for kind in kinds[2:middle])
    assert canonical / len(plans) == pytest.approx(0.9, abs=0.03)
    for kind in ("ShotNoise", "SpeckleNoise"):
        assert np.mean([len(_of(plan, kind)) for plan in plans]) == pytest.approx(0.2, abs=0.04)
    first_noises = [next(step["type"] for step in plan["steps"] if step["type"].endswith("Noise")) for plan in plans]
    assert 0.03 < _share([kind == "ShotNoise" for kind in first_noises]) < 0.09


@pytest.mark.parametrize("scale", [2, 8])
def test_bsrgan_plus_resizes_as_published(scale):
    plans = _plans("bsrgan_plus", scale, 700)
    factors = np.array([step["size"][0] / step["from"][0] for p in plans for step in _of(p, "Resize")[:2]])
    assert np.mean(factors > 1) == pytest.approx(0.2, abs=0.03)
    assert np.mean(factors < 1) == pytest.approx(0.7, abs=0.04)  # rounding makes some of them 1
    down = [step["size"][0] / 256 for p in plans for step in _of(p, "Resize")[:1] if step["size"][0] < 255]
    assert stats.kstest(down, stats.uniform(0.5 / scale, 1 - 0.5 / scale).cdf).pvalue > 1e-3
