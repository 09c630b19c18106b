"""The torch executor against NumPy's and OpenCV's: step by step, in distribution, and by itself."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import degradations
from degradations import RecipeError, apply_batch, batch, build_pipeline, pair_batch, target_batch
from degradations.pipeline import recipe_names
from degradations.plan import find_step

PIPELINES = {name: build_pipeline(name) for name in recipe_names()}
REALESRGAN = PIPELINES["realesrgan"]


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[0, seed]))


def _photo(seed: int, size: int = 96) -> np.ndarray:
    name = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")[seed % 4]
    photo = cv2.imread(str(Path(skimage.__file__).parent / "data" / name))
    assert photo is not None
    top, left = _rng(seed).integers(0, np.array(photo.shape[:2]) - size, endpoint=True)
    return np.ascontiguousarray(photo[top : top + size, left : left + size, ::-1]).astype(np.float32) / 255


def _tensor(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def _numpy(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def _plans(n: int, size: int = 96, scale: float = 2.7, name: str = "realesrgan") -> list[dict]:
    return [PIPELINES[name].sample(_rng(seed), (size, size), scale) for seed in range(n)]


def test_step_by_step_both_executors_do_the_same():
    seen, psnr_of_codecs = set(), []
    for seed, plan in enumerate(_plans(24)):
        image = _photo(seed)
        for step in ([plan["target"]] if plan["target"] else []) + plan["steps"]:
            cls, kind = find_step(step), step["type"]
            theirs = cls.apply(step, image)
            difference = np.abs(_numpy(cls.apply_batch([step], _tensor(image))[0]) - theirs)
            if kind == "JPEG":
                psnr_of_codecs.append(-10 * np.log10(np.mean(difference**2) + 1e-8))
            elif kind == "USM":  # whose threshold is hard: a rounding may move a pixel across it
                assert difference.mean() < 2e-6
                assert np.quantile(difference, 0.99) < 2e-5
            elif "seed" not in step:  # noises have tests of their own
                assert difference.max() < 2e-5, step
            seen.add(kind)
            image = theirs
    assert np.mean(psnr_of_codecs) > 50
    assert min(psnr_of_codecs) > 36  # of few pixels, one coefficient that a rounding moves across its step is much
    assert seen >= {"USM", "JPEG", "Resize", "GaussianBlur", "GeneralizedGaussianBlur", "PlateauBlur", "SincBlur"}


def test_whole_plans_lose_as_much_by_either_executor():
    plans = _plans(32)
    photos = [_photo(seed) for seed in range(32)]

    def psnr(lq: np.ndarray, hr: np.ndarray) -> float:
        up = cv2.resize(lq, hr.shape[1::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)
        return float(-10 * np.log10(np.mean((up - hr) ** 2)))

    lq = apply_batch(plans, _tensor(*photos))
    ours = np.array([psnr(_numpy(one), photo) for one, photo in zip(lq, photos, strict=True)])
    theirs = [psnr(degradations.apply(plan, photo), photo) for plan, photo in zip(plans, photos, strict=True)]
    difference = ours - np.array(theirs)
    assert abs(difference.mean()) < 0.1  # the noise fields differ, image by image
    assert difference.std() < 0.4
    assert np.std(theirs) > 2


def test_without_noise_and_codec_both_executors_take_the_same_8_bit_image():
    plans = _plans(8, name="bicubic")
    photos = [_photo(seed) for seed in range(8)]
    for lq, plan, photo in zip(apply_batch(plans, _tensor(*photos)), plans, photos, strict=True):
        difference = np.abs(_numpy(lq) - degradations.apply(plan, photo))
        assert difference.max() < 1.01 / 255
        assert (difference > 0).mean() < 1e-3


def test_one_of_a_batch_is_a_batch_of_one_bit_for_bit_and_so_is_a_replay():
    plans, images = _plans(6), _tensor(*[_photo(seed) for seed in range(6)])
    kept, state = images.clone(), torch.get_rng_state()
    lq, targets = pair_batch(plans, images)
    assert isinstance(lq, torch.Tensor)
    assert torch.equal(images, kept)
    assert torch.equal(torch.get_rng_state(), state)
    again, again_targets = pair_batch(json.loads(json.dumps(plans[::-1])), images.flip(0))
    assert torch.equal(torch.stack(list(again)).flip(0), lq)
    assert torch.equal(again_targets.flip(0), targets)
    for i, plan in enumerate(plans):
        alone, target = pair_batch([plan], images[i : i + 1])
        assert torch.equal(alone[0], lq[i])
        assert torch.equal(target[0], targets[i])
    assert torch.equal(torch.stack(list(apply_batch(plans, images))), lq)
    assert torch.equal(target_batch(plans, images), targets)


def test_stacked_steps_do_what_single_ones_do():
    # many plans of few kinds, so that steps meet in groups, as they do on a GPU
    spec = {
        "steps": [
            {"type": "Choice", "options": [
                {"type": "GaussianBlur", "kernel_size": [7, 21], "sigma_px": [0.2, 3], "isotropic": False},
                {"type": "SincBlur", "kernel_size": [7, 21], "cutoff": [0.4, 1]},
            ]},
            {"type": "GaussianNoise", "sigma_8bit": [1, 20], "gray_prob": 0.5},
            {"type": "PoissonNoise", "scale": [0.1, 1], "gray_prob": 0.5, "min_levels": 64},
            {"type": "Resize", "relative_to": "lr", "mode": ["area", "bilinear", "bicubic"]},
            {"type": "JPEG", "quality": [30, 95]},
        ],
        "target": {"type": "USM", "kernel_size": [31, 51], "weight": [0.2, 0.8], "threshold_8bit": 10},
    }  # fmt: skip
    pipeline = build_pipeline(spec)
    plans = [pipeline.sample(_rng(seed), (96, 96), 2.3) for seed in range(10)]
    images = [_tensor(_photo(seed))[0] for seed in range(10)]
    todos = [[("", step) for step in [plan["target"], *plan["steps"]]] for plan in plans]
    together, alone = (torch.stack(batch._run(todos, list(images), stack=stack)) for stack in (True, False))
    # where a rounding falls to the other side in a codec, a block changes by a step of its table
    assert (together - alone).abs().mean() < 1e-3
    for steps in (1, 2, 3, 5):
        first = [todo[:steps] for todo in todos]
        together, alone = (torch.stack(batch._run(first, list(images), stack=stack)) for stack in (True, False))
        torch.testing.assert_close(together.quantile(0.99), alone.quantile(0.99), atol=1e-4, rtol=0)
        assert ((together - alone).abs() > 2e-5).float().mean() < 5e-3


@pytest.mark.parametrize("name", recipe_names())
def test_sizes_that_differ_make_a_list_and_sizes_that_agree_a_batch(name):
    images = torch.rand(3, 3, 24, 20, generator=torch.Generator().manual_seed(0))
    scales = (2, 3.1, (1, 4))
    plans = [PIPELINES[name].sample(_rng(seed), (24, 20), scale) for seed, scale in enumerate(scales)]
    ragged = apply_batch(plans, images)
    assert isinstance(ragged, list)
    assert [list(lq.shape) for lq in ragged] == [[3, *plan["lr_size"]] for plan in plans]
    assert list(apply_batch(plans[1:2] * 3, images).shape) == [3, 3, *plans[1]["lr_size"]]


EXTREMES = {
    "noise": lambda h, w: torch.rand(3, h, w, generator=torch.Generator().manual_seed(h * w)),
    "black": lambda h, w: torch.zeros(3, h, w),
    "white": lambda h, w: torch.ones(3, h, w),
    "checkerboard": lambda h, w: (torch.arange(h)[:, None] + torch.arange(w)).remainder(2).float().expand(3, h, w),
    "colour": lambda h, w: torch.tensor([1.0, 0.0, 1.0])[:, None, None].expand(3, h, w),
}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(recipe_names()), min_size=1, max_size=3),
    st.sampled_from(sorted(EXTREMES)),
    st.integers(8, 60),
    st.integers(8, 60),
    st.floats(1, 16),
    st.floats(1, 16),
    st.integers(0, 10_000),
)
def test_any_images_at_any_scale_become_8_bit_images_of_the_right_size(names, kind, h, w, scale_y, scale_x, seed):
    plans = [PIPELINES[name].sample(_rng(seed + i), (h, w), (scale_y, scale_x)) for i, name in enumerate(names)]
    images = torch.stack([EXTREMES[kind](h, w)] * len(names))
    lq, targets = pair_batch(plans, images)
    assert isinstance(lq, torch.Tensor)
    assert list(lq.shape) == [len(names), 3, *plans[0]["lr_size"]]
    assert torch.equal(lq, (lq.clamp(0, 1) * 255).round() / 255)
    assert targets.shape == images.shape
    assert 0 <= targets.min() <= targets.max() <= 1


def test_gradients_go_through_whole_plans_to_the_images():
    images = _tensor(*[_photo(seed) * 0.8 + 0.1 for seed in range(8)]).requires_grad_()
    lq, targets = pair_batch(_plans(8), images)
    (torch.stack(list(lq)).sum() + targets.sum()).backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
    # all that a degradation does leaves the mean about where it was, and sharpening does
    area = 96**2 / np.prod(lq[0].shape[1:])
    for gradient in images.grad:
        assert float(gradient.mean()) == pytest.approx(1 + 1 / area, rel=0.25)
    with torch.no_grad():
        assert torch.equal(pair_batch(_plans(8), images)[0], lq)


@pytest.mark.parametrize(
    "step",
    [
        {"type": "GaussianBlur", "kernel_size": 7, "sigma_px": [1.5, 0.6], "theta": 0.4},
        {"type": "GaussianBlur", "kernel_size": 9, "sigma_px": [1.5, 1.5], "theta": 0.0},
        {"type": "SincBlur", "kernel_size": 7, "cutoff": 0.5},
        {"type": "Resize", "mode": "bicubic", "antialias": False, "size": [4, 11]},
        {"type": "Resize", "mode": "area", "antialias": False, "size": [5, 3]},
        {"type": "GaussianNoise", "sigma_8bit": 20.0, "gray": False, "seed": 5},
        {"type": "USM", "kernel_size": 5, "weight": 0.5, "threshold_8bit": 10.0},
    ],
    ids=lambda step: step["type"],
)
def test_gradients_are_finite_differences(step):
    image = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.6 + 0.2
    assert torch.autograd.gradcheck(
        lambda x: find_step(step).apply_batch([step], x), image.requires_grad_(), eps=1e-5, atol=1e-4
    )


def test_photon_noise_lets_the_gradient_of_the_sum_through():
    step = {"type": "PoissonNoise", "scale": 0.3, "gray": False, "min_levels": 64, "seed": 5}
    image = torch.full((1, 3, 9, 9), 0.5, requires_grad=True)
    find_step(step).apply_batch([step], image).sum().backward()
    torch.testing.assert_close(image.grad, torch.ones_like(image))


def test_a_caller_in_half_precision_changes_nothing():
    plans, images = _plans(2), _tensor(_photo(0), _photo(1))
    expected = apply_batch(plans, images)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(apply_batch(plans, images), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"version": 2}, "plans.1.version"),
        ({"size": [9, 9]}, "plans.1.size"),
        ({"lr_size": [3, 3]}, "plans.1.lr_size"),
        ({"steps": None}, "plans.1.steps"),
        ({"steps": [{"type": "Blurr"}]}, "plans.1.steps.0.type"),
        ({"steps": [{"type": "Choice"}]}, "plans.1.steps.0.type"),
        ({"steps": [{"type": "JPEG"}]}, "plans.1.steps.0"),
        ({"steps": [{"type": "JPEG", "quality": "high"}]}, "plans.1.steps.0.quality"),
        ({"steps": ["JPEG"]}, "plans.1.steps.0"),
        ({"target": {"type": "USM"}}, "plans.1.target"),
    ],
)
def test_a_damaged_plan_is_refused_with_the_place_of_the_damage(change, path):
    good = _plans(1, size=24)[0]
    with pytest.raises(RecipeError) as caught:
        apply_batch([good, {**good, **change}], torch.rand(2, 3, 24, 24))
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


def test_what_is_no_batch_for_the_plans_is_refused():
    plans = _plans(2, size=24)
    with pytest.raises(ValueError, match="2 plans for 1 images"):
        apply_batch(plans, torch.rand(1, 3, 24, 24))
    with pytest.raises(TypeError, match="float32"):
        apply_batch(plans, torch.rand(2, 3, 24, 24, dtype=torch.float64))
    with pytest.raises(TypeError, match="b 3 h w"):
        apply_batch(plans, torch.rand(2, 24, 24, 3))
    with pytest.raises(ValueError, match="NaN"):
        apply_batch(plans, torch.full((2, 3, 24, 24), torch.nan))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_repeats_itself_and_loses_as_much_as_the_cpu():
    plans, images = _plans(24), _tensor(*[_photo(seed) for seed in range(24)])
    on_gpu = apply_batch(plans, images.cuda())
    assert torch.equal(on_gpu, apply_batch(plans, images.cuda()))
    on_cpu = torch.as_tensor(apply_batch(plans, images))
    assert float((on_gpu.cpu() - on_cpu).mean((1, 2, 3)).abs().max()) < 0.02
