"""Non-local attention against a loop over pixels, for any size, in pieces of any size, in windows and as an exported graph."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from plain_ciaosr import plain_non_local
from torch import Tensor

from realciao.archs.decoders import cross_scale_attention, patch_attention
from realciao.archs.decoders.cross_scale_attention import CrossScaleAttention
from realciao.archs.decoders.patch_attention import Pieces


def make(scales: Sequence[int], window: int | None = None, dtype: torch.dtype = torch.float64) -> CrossScaleAttention:
    torch.manual_seed(0)
    return CrossScaleAttention(4, scales, window).to(dtype)


def make_features(*size: int, seed: int = 1) -> Tensor:
    return torch.randn(2, 4, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def plain(attention: CrossScaleAttention, feat: Tensor) -> Tensor:
    """The loop over pixels, also where a side is too short to be reflected: that side is repeated."""
    height, width = feat.shape[2:]
    results = []
    for scale in attention.scales:
        index = []
        for n in (height, width):
            mode: Any = "reflect" if -n % scale < n else "edge"
            index.append(torch.from_numpy(np.pad(np.arange(n), (0, -n % scale), mode=mode)))
        with patch.object(attention, "scales", (scale,)):
            results.append(plain_non_local(attention, feat[:, :, index[0]][..., index[1]])[:, :, :height, :width])
    return torch.cat(results, dim=1)


def assert_same_gradients(attention: CrossScaleAttention, feat: Tensor, probe: Tensor) -> None:
    feat = feat.clone().requires_grad_()
    inputs = [feat, *(p for p in attention.parameters() if p.requires_grad)]
    fast, slow = (
        torch.autograd.grad((f(feat) * probe).sum(), inputs) for f in (attention, lambda x: plain(attention, x))
    )
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    scales=st.sampled_from([[2], [3], [4], [2, 3, 4]]),
    columns=st.sampled_from([1, 2, 5, 48]),
    rows=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_outputs_and_gradients_are_those_of_the_loop_over_pixels_in_pieces_of_any_size(
    size: tuple[int, int], scales: list[int], columns: int, rows: int, seed: int
) -> None:
    attention, feat = make(scales), make_features(*size, seed=seed)
    with patch.object(patch_attention, "CPU_PIECES", Pieces(columns, 0, rows, 0, rows)):
        result = attention(feat)
        assert_same_gradients(attention, feat, torch.randn_like(result))
    torch.testing.assert_close(result, plain(attention, feat), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pieces_of_the_usual_size_give_the_loop_over_pixels(scale: int) -> None:
    # wide enough for two strips, with more than one step of rows each
    attention, feat = make([scale]), make_features(9, 53)[:1]
    with patch.object(patch_attention, "CPU_PIECES", patch_attention.CPU_PIECES._replace(step_bytes=0)):
        result = attention(feat)
    torch.testing.assert_close(result, plain(attention, feat), rtol=1e-10, atol=1e-10)


def test_float32_is_within_1e_4_of_float64_with_logits_in_the_hundreds() -> None:
    attention, feat = make([2, 3]), 20 * make_features(13, 14)
    exact = attention(feat)
    single = make([2, 3], dtype=torch.float32)(feat.float())
    assert (single - exact).abs().max() <= 1e-4 * exact.abs().max()


def test_bfloat16_is_within_three_percent_of_float64() -> None:
    attention, feat = make([2], dtype=torch.bfloat16), make_features(13, 14).bfloat16()
    result = attention(feat)
    exact = attention.double()(feat.double())
    assert result.dtype == torch.bfloat16
    assert (result - exact).abs().max() <= 0.03 * exact.abs().max()


def test_under_autocast_scores_are_float32_forward_and_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def recorded(query: Tensor, *rest: Tensor) -> Tensor:
        seen.append({t.dtype for t in (query, *rest)})
        return patch_attention.attend(query, *rest)

    monkeypatch.setattr(cross_scale_attention, "attend", recorded)
    attention = make([2], dtype=torch.float32)
    feat = make_features(8, 9).float().requires_grad_()
    exact = attention(feat)
    (exact_grad,) = torch.autograd.grad(exact.sum(), feat)
    with torch.autocast("cpu", torch.bfloat16):
        result = attention(feat)
        (grad,) = torch.autograd.grad(result.float().sum(), feat)
    assert seen == [{torch.float32}] * 4
    assert (result - exact).abs().max() <= 0.03 * exact.abs().max()
    assert (grad - exact_grad).abs().max() <= 0.05 * exact_grad.abs().max()


def test_a_batch_gives_what_its_images_give_alone() -> None:
    attention, feat = make([2, 4]), make_features(9, 7)
    alone = torch.cat([attention(image[None]) for image in feat])
    torch.testing.assert_close(attention(feat), alone, rtol=0, atol=1e-14)


def test_frozen_parts_get_no_gradient_and_the_rest_keep_theirs() -> None:
    attention, feat = make([2]), make_features(6, 7).requires_grad_()
    (expected,) = torch.autograd.grad(attention(feat).sum(), feat)
    attention.requires_grad_(False)
    (alone,) = torch.autograd.grad(attention(feat).sum(), feat)
    torch.testing.assert_close(alone, expected, rtol=0, atol=0)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(size=st.tuples(st.integers(1, 30), st.integers(1, 30)), scales=st.sampled_from([[2], [2, 3]]))
def test_each_window_attends_as_if_it_were_an_image(size: tuple[int, int], scales: list[int]) -> None:
    whole, windowed, feat = make(scales), make(scales, window=12), make_features(*size)
    result = windowed(feat)
    for top in range(0, size[0], 12):
        for left in range(0, size[1], 12):
            piece = slice(None), slice(None), slice(top, top + 12), slice(left, left + 12)
            torch.testing.assert_close(result[piece], whole(feat[piece]), rtol=0, atol=1e-13)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(top=st.integers(0, 14), left=st.integers(0, 14), height=st.integers(1, 20), width=st.integers(1, 20))
def test_windows_that_a_tile_holds_whole_come_out_as_in_the_full_image(
    top: int, left: int, height: int, width: int
) -> None:
    size, window = (27, 25), 6
    attention, feat = make([2, 3], window), make_features(27, 25)
    whole = attention(feat)
    bottom, right = min(size[0], top + height), min(size[1], left + width)
    tile = attention(feat[:, :, top:bottom, left:right], (top, left, *size))
    assert tile.shape[2:] == (bottom - top, right - left)
    rows = range(-(-top // window) * window, size[0], window)
    columns = range(-(-left // window) * window, size[1], window)
    for y in (y for y in rows if min(y + window, size[0]) <= bottom):
        for x in (x for x in columns if min(x + window, size[1]) <= right):
            ours = tile[:, :, y - top : y - top + window, x - left : x - left + window]
            torch.testing.assert_close(ours, whole[:, :, y : y + window, x : x + window], rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [(5, 7), (19, 9), (12, 24), (25, 38), (37, 2), (1, 1)])
def test_the_windows_of_a_graph_without_loops_equal_those_one_by_one(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    attention, feat = make([2, 3, 4], window=12), torch.cat([make_features(*size), make_features(*size, seed=2)])
    one_by_one = attention(feat)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(attention(feat), one_by_one, rtol=0, atol=1e-13)


@pytest.mark.parametrize("window", [0, -12, 8, 18])
def test_a_window_that_the_scales_do_not_divide_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match=f"window must be a positive multiple of 12 .*, got {window}"):
        CrossScaleAttention(4, [2, 3, 4], window)


@pytest.mark.parametrize("scales", [[2], [3], [4]])
def test_one_exported_graph_serves_all_sizes(scales: list[int]) -> None:
    attention = make(scales, dtype=torch.float32).eval()
    sizes = {2: torch.export.Dim("h", min=5, max=4096), 3: torch.export.Dim("w", min=5, max=4096)}
    program = torch.export.export(attention, (torch.zeros(1, 4, 13, 11),), dynamic_shapes=(sizes,)).module()
    for size in ((13, 11), (5, 5), (8, 12), (5, 22)):
        feat = make_features(*size)[:1].float()
        torch.testing.assert_close(program(feat), attention(feat), rtol=1e-5, atol=1e-5)


def test_names_and_shapes_are_those_of_the_released_checkpoints() -> None:
    shapes = {name: tuple(t.shape) for name, t in CrossScaleAttention(64, [2, 3]).state_dict().items()}
    blocks = {"conv_match_1": 32, "conv_match_2": 32, "conv_assembly": 64}
    expected: dict[str, tuple[int, ...]] = {"escape_NaN": (1,)}
    for name, width in blocks.items():
        expected |= {f"{name}.0.weight": (width, 64, 1, 1), f"{name}.0.bias": (width,), f"{name}.1.weight": (1,)}
    for name in ("down", "downx3"):
        expected |= {f"{name}.weight": (64, 64, 3, 3), f"{name}.bias": (64,)}
    assert shapes == expected
