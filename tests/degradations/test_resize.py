"""Resizing against Pillow, OpenCV, torch, and straight ramps."""

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from degradations import build_pipeline
from degradations.pipeline import recipe_names
from degradations.registry import Frame
from degradations.resize import MODES, Resize, axis_weights

SIZES = st.integers(1, 60)
SCALES = (1, 1.37, 2, 3.3, 4, 6)
PIPELINES = {name: build_pipeline(name) for name in recipe_names() if name != "ciaosr_paper"}  # which is realesrgan


def _resize(image: np.ndarray, size: tuple[int, int], mode: str, antialias: bool = False) -> np.ndarray:
    return Resize.apply({"size": list(size), "mode": mode, "antialias": antialias}, image)


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).random((height, width, 3), np.float32)


def _ramp(size: tuple[int, int]) -> np.ndarray:
    """An image that holds its own coordinates (y, x, y + x) in pixels."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return np.stack([y, x, y + x], axis=-1)


def _displacement(lq: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How far each LR pixel's content lies from its place, in HR pixels, along y and x."""
    height, width = lq.shape[:2]
    y = (np.arange(height) + 0.5) * size[0] / height - 0.5
    x = (np.arange(width) + 0.5) * size[1] / width - 0.5
    return np.stack([lq[:, :, 0] - y[:, None], lq[:, :, 1] - x[None, :]])


def _drift(displacement: np.ndarray) -> float:
    """The largest shift, in HR pixels, of the straight line through the displacements along each axis: shift and stretch."""
    drift = 0.0
    for profile in (displacement[0].mean(1), displacement[1].mean(0)):
        place = np.linspace(-1, 1, len(profile))
        shift, stretch = profile.mean(), (profile @ place) / max(place @ place, 1)
        drift = max(drift, abs(shift) + abs(stretch))
    return drift


@settings(max_examples=40, deadline=None, derandomize=True)
@given(SIZES, SIZES, SIZES, SIZES, st.sampled_from(["bilinear", "bicubic", "lanczos"]))
def test_antialiased_modes_equal_pillows_on_floats(h, w, new_h, new_w, mode):
    image = _image(h, w)
    method = Image.Resampling[mode.upper()]
    expected = [np.asarray(Image.fromarray(image[:, :, c], mode="F").resize((new_w, new_h), method)) for c in range(3)]
    np.testing.assert_allclose(_resize(image, (new_h, new_w), mode, True), np.stack(expected, -1), atol=3e-6)


def _torch_resize(image: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    return F.interpolate(tensor, size=size, mode=mode, align_corners=False)[0].permute(1, 2, 0).numpy()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(SIZES, SIZES, SIZES, SIZES)
def test_bilinear_without_antialiasing_equals_torchs(h, w, new_h, new_w):
    image = _image(h, w)
    expected = _torch_resize(image, (new_h, new_w), "bilinear")
    np.testing.assert_allclose(_resize(image, (new_h, new_w), "bilinear"), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(40, 40), (31, 77), (120, 200)])
def test_bicubic_without_antialiasing_differs_from_torchs_only_by_the_balancing(size):
    noise = _image(60, 80)  # the hardest image that there is
    assert np.abs(_resize(noise, size, "bicubic") - _torch_resize(noise, size, "bicubic")).max() < 0.05
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    assert np.abs(_resize(smooth, size, "bicubic") - _torch_resize(smooth, size, "bicubic")).max() < 0.006


def _lanczos_loop(signal: np.ndarray, n_out: int) -> np.ndarray:
    """sinc(x) sinc(x / 3) over the six nearest pixels, the edge repeated, without antialiasing."""
    resized = np.zeros(n_out)
    for j in range(n_out):
        place = (j + 0.5) * len(signal) / n_out - 0.5
        taps = range(int(np.floor(place)) - 2, int(np.floor(place)) + 4)
        weights = [np.sinc(place - i) * np.sinc((place - i) / 3) for i in taps]
        values = [signal[min(max(i, 0), len(signal) - 1)] for i in taps]
        resized[j] = np.dot(weights, values) / sum(weights)
    return resized


@pytest.mark.parametrize("n_out", [25, 40, 77, 160])
def test_lanczos_without_antialiasing_differs_from_a_loop_only_by_the_balancing(n_out):
    signal = np.random.default_rng(0).random(80).astype(np.float32)
    resized = axis_weights(80, n_out, "lanczos", False) @ signal
    np.testing.assert_allclose(resized, _lanczos_loop(signal, n_out), atol=0.012)
    halved = axis_weights(80, 40, "lanczos", False) @ signal  # symmetric taps are balanced as they are
    np.testing.assert_allclose(halved, _lanczos_loop(signal, 40), atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_area_is_the_mean_of_blocks_where_the_ratio_is_whole(factor):
    image = _image(30, 60)
    blocks = image.reshape(30 // factor, factor, 60 // factor, factor, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(_resize(image, (30 // factor, 60 // factor), "area"), blocks, atol=1e-6)


def test_area_differs_from_opencvs_only_by_the_balancing_of_edges():
    image = cv2.GaussianBlur(_image(90, 90), (0, 0), 3)
    expected = cv2.resize(image, (37, 37), interpolation=cv2.INTER_AREA)
    assert np.abs(_resize(image, (37, 37), "area") - expected).max() < 0.01


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_the_torch_form_resizes_alike(mode, antialias):
    image, params = _image(31, 47), {"size": [20, 66], "mode": mode, "antialias": antialias}
    in_torch = Resize.apply_batch([params], torch.from_numpy(image).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    np.testing.assert_allclose(in_torch, Resize.apply(params, image), atol=2e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SIZES, SIZES, st.sampled_from(MODES), st.booleans())
def test_weights_sum_to_one_and_area_and_bilinear_have_no_negative_ones(n_in, n_out, mode, antialias):
    weights = axis_weights(n_in, n_out, mode, antialias).toarray()
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
    assert mode in ("bicubic", "lanczos") or weights.min() >= -1e-7


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(37, 53), (96, 80), (101, 64)])
def test_a_ramp_stays_that_ramp(mode, size):
    hr = (80, 80)
    displacement = _displacement(_resize(_ramp(hr), size, mode), hr)[:, 4:-4, 4:-4]
    assert np.abs(displacement).max() < 1e-3


@pytest.mark.parametrize("scale", SCALES)
def test_the_bicubic_recipe_keeps_the_image_in_its_place(scale):
    size = (201, 173)
    plan = PIPELINES["bicubic"].sample(np.random.default_rng(0), size, scale)
    inside = _displacement(_run_resizes(plan, _ramp(size)), size)[:, 3:-3, 3:-3]
    # Pillow's filter ripples by up to 0.026 px where the ratio is not whole, but neither shifts nor stretches
    assert np.abs(inside).max() < 0.03
    assert _drift(inside) < 0.005


def _chains(name: str, scale: float, size: tuple[int, int], n: int) -> Iterator[tuple[dict, list[list[int]]]]:
    """Plans of a recipe, each with the sizes that its image goes through."""
    rng = np.random.default_rng(1)
    for _ in range(n):
        plan = PIPELINES[name].sample(rng, size, scale)
        yield plan, [step["size"] for step in plan["steps"] if step["type"] == "Resize"]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", PIPELINES)
def test_the_resize_chain_of_every_recipe_keeps_every_pixel_in_its_place(name, scale):
    size = (201, 173)
    for plan, sizes in _chains(name, scale, size, 8):
        lq = _run_resizes(plan, _ramp(size))
        assert list(lq.shape[:2]) == plan["lr_size"]
        # the border is repeated, and the smallest of the intermediate images decides how far that reaches
        margin_y, margin_x = (4 + 4 * lq.shape[i] // min(s[i] for s in sizes) for i in (0, 1))
        inside = _displacement(lq, size)[:, margin_y:-margin_y, margin_x:-margin_x]
        if not inside.size:
            continue
        assert _drift(inside) < 0.01
        if any(step.get("antialias") for step in plan["steps"]):  # Pillow's filter ripples around the place
            assert np.abs(inside).max() < 0.03
        else:
            assert np.abs(inside).max() < 0.01


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", PIPELINES)
def test_the_resize_chain_of_every_recipe_keeps_a_grid_of_dots_in_its_place(name, scale):
    size = (480, 500)
    measured = 0
    for plan, sizes in _chains(name, scale, size, 24):
        coarsest = max(n / s[i] for s in sizes for i, n in enumerate(size))  # HR pixels in a pixel on the way
        sigma = 7 * max(1.0, coarsest)  # sharper dots beat with the grids, which displaces their centres of mass
        places = [np.arange(5.3 * sigma, n - 5.3 * sigma, 10.5 * sigma) for n in size]
        if min(map(len, places)) == 0 or measured == 2:
            continue
        measured += 1
        rows, columns = (
            np.exp(-0.5 * ((np.arange(n)[:, None] - place) / sigma) ** 2).sum(1)
            for n, place in zip(size, places, strict=True)
        )
        dots = np.repeat(np.outer(rows, columns)[:, :, None], 3, axis=2).astype(np.float32)
        lq = _run_resizes(plan, dots)[:, :, 0].astype(np.float64)
        y, x = ((np.arange(n) + 0.5) * full / n - 0.5 for n, full in zip(lq.shape, size, strict=True))
        for row, column in itertools.product(*places):
            near_y, near_x = np.abs(y - row) < 5.2 * sigma, np.abs(x - column) < 5.2 * sigma
            dot = lq[np.ix_(near_y, near_x)] / lq[np.ix_(near_y, near_x)].sum()
            found = dot.sum(1) @ y[near_y], dot.sum(0) @ x[near_x]
            np.testing.assert_allclose(found, (row, column), atol=0.01)
    assert measured == 2


def _run_resizes(plan: dict, image: np.ndarray) -> np.ndarray:
    for step in plan["steps"]:
        if step["type"] == "Resize":
            image = Resize.apply(step, image)
    return image


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 90), st.integers(1, 90), st.floats(0.05, 2), st.sampled_from(["image", "lr"]))
def test_the_plan_states_the_sizes_that_apply_maps_between(h, w, factor, relative_to):
    frame = Frame((h, w), (99, 99), (25, 30))
    step = Resize(mode=["area", "bilinear"], factor=factor, relative_to=relative_to)
    params = step.sample(np.random.default_rng(0), frame)
    reference = (25, 30) if relative_to == "lr" else (h, w)
    assert params["from"] == [h, w]
    assert params["size"] == [max(1, round(n * factor)) for n in reference]
    assert list(step.apply(params, _image(h, w)).shape) == [*params["size"], 3]
