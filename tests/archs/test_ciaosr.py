"""The network against the plain formula, and against itself cut into pieces."""

import math
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from plain_ciaosr import plain_query

from realciao.archs import build_network
from realciao.coords import make_axis, make_cell, make_coord, scaled_size
from realciao.errors import OptionError

EDSR = {"type": "EDSREncoder", "num_feat": 4, "num_block": 1}


def make_net(dtype: torch.dtype = torch.float64, **decoder: Any) -> Any:
    torch.manual_seed(0)
    spec = {"type": "CiaoSRDecoder", "hidden": [8, 8], "non_local_scales": [], **decoder}
    return build_network({"type": "CiaoSR", "encoder": EDSR, "decoder": spec}).to(dtype).eval()


scales = st.one_of(st.sampled_from([1.0, 1.5, 2.0, 2.5, 3.0, 5.0]), st.floats(1, 30))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    scale=st.tuples(scales, scales),
    non_local=st.sampled_from([[], [2], [3], [2, 4], [2, 3, 4]]),
    local_size=st.sampled_from([1, 2]),
    rule=st.sampled_from(["published", "liif"]),
    feat_unfold=st.booleans(),
    ensemble=st.sampled_from(["attention", "mlp"]),
    dense=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_decoder_equals_the_plain_formula_in_outputs_and_gradients(
    size: tuple[int, int],
    scale: tuple[float, float],
    non_local: list[int],
    local_size: int,
    rule: str,
    feat_unfold: bool,
    ensemble: str,
    dense: bool,
    seed: int,
) -> None:
    net = make_net(
        non_local_scales=non_local, local_size=local_size, neighbours=rule, feat_unfold=feat_unfold, ensemble=ensemble
    )
    torch.manual_seed(seed)
    # a batch in which the samples have different cells
    cell = torch.stack([make_cell(scaled_size(size, scale)), make_cell(scaled_size(size, 2.0))])
    coord = torch.rand(2, 1, 12, 2) * 2 - 1
    lq = torch.rand(2, 3, *size, dtype=torch.float64)
    feat = net.encoder(lq).detach().requires_grad_()
    frame = (0, 0, *size)
    fast = net.decoder.query(net.decoder.prepare(feat, lq, frame, dense), coord, cell)[:, :, 0].transpose(1, 2)
    plain = plain_query(net.decoder, feat, coord[:, 0], cell)
    inputs = [feat, *(p for p in net.decoder.parameters() if p.requires_grad)]
    probe = torch.rand_like(plain)
    gradients = [torch.autograd.grad((out * probe).sum(), inputs, allow_unused=True) for out in (fast, plain)]
    torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    scale=st.tuples(st.floats(1, 6), st.floats(1, 6)),
    non_local=st.sampled_from([[], [2], [2, 3, 4]]),
    precision=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_a_whole_image_equals_the_plain_formula_within_its_precision(
    size: tuple[int, int], scale: tuple[float, float], non_local: list[int], precision: torch.dtype
) -> None:
    exact = make_net(torch.float64, non_local_scales=non_local)
    lq, out = torch.rand(1, 3, *size), scaled_size(size, scale)
    cell, coord = make_cell(out)[None], make_coord(out).view(1, -1, 2)
    expected = plain_query(exact.decoder, exact.encoder(lq.double() - exact.mean), coord, cell)
    net = make_net(precision, non_local_scales=non_local)
    prepared = net.prepare(lq.to(precision))
    pred = net.decoder.query_grid(prepared.decoder, make_axis(out[0]), make_axis(out[1]), cell)
    error = (pred[0].flatten(1).T.double() - expected[0]).abs().max() / expected.abs().max()
    # bfloat16 keeps 8 bits, and a softmax of products of rounded numbers lies behind it
    assert error < (1e-4 if precision == torch.float32 else 0.1)


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1), (2, 3), (3, 3)])
@pytest.mark.parametrize("scale", [1.0, 2.37, 7.9])
def test_tiny_images_give_finite_results_of_the_right_size(size: tuple[int, int], scale: float) -> None:
    out = make_net(torch.float32, non_local_scales=[2, 3]).upscale(torch.rand(1, 3, *size), scaled_size(size, scale))
    assert out.shape[2:] == scaled_size(size, scale)
    assert torch.isfinite(out).all()


def test_a_grid_of_queries_equals_the_same_points_one_by_one() -> None:
    net = make_net(non_local_scales=[2])
    size, target = (7, 6), (17, 19)
    prepared = net.prepare(torch.rand(2, 3, *size, dtype=torch.float64))
    cell = make_cell(target).expand(2, -1)
    grid = net.query_grid(prepared, make_axis(target[0]), make_axis(target[1]), cell)
    points = net.query(prepared, make_coord(target).expand(2, -1, -1, -1), cell)
    torch.testing.assert_close(grid, points, rtol=0, atol=0)


def test_bands_are_the_grid_and_no_larger_than_they_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realciao.archs.ciaosr_arch.QUERIES_PER_BAND", 60)
    net = make_net()
    prepared = net.prepare(torch.rand(1, 3, 7, 6, dtype=torch.float64))
    ys, xs, cell = make_axis(17), make_axis(19), make_cell((17, 19))[None]
    bands = list(net.decode(prepared, ys, xs, cell))
    assert max(band.shape[2] * band.shape[3] for band in bands) <= 60
    torch.testing.assert_close(torch.cat(bands, dim=2), net.query_grid(prepared, ys, xs, cell), rtol=0, atol=1e-12)


def test_queries_in_chunks_equal_all_at_once_and_a_batch_equals_its_samples() -> None:
    net = make_net()
    lq = torch.rand(2, 3, 8, 9, dtype=torch.float64)
    coord = torch.rand(2, 1, 50, 2) * 2 - 1
    cell = torch.tensor([[0.1, 0.05], [0.03, 0.2]])
    whole = net(lq, coord, cell)
    prepared = net.prepare(lq, dense=False)
    chunks = [net.query(prepared, part, cell) for part in coord.split(7, dim=2)]
    torch.testing.assert_close(torch.cat(chunks, dim=3), whole, rtol=0, atol=1e-12)
    alone = torch.cat([net(lq[i : i + 1], coord[i : i + 1], cell[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-12)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(scale=st.tuples(scales, scales), top=st.integers(0, 9), left=st.integers(0, 9))
def test_a_tile_in_the_frame_of_the_image_gives_what_the_whole_gives(
    scale: tuple[float, float], top: int, left: int
) -> None:
    net = make_net()
    halo = net.encoder.reach_px + 2
    lq = torch.rand(1, 3, 24, 25, dtype=torch.float64)
    height, width = lq.shape[2:]
    target = scaled_size((height, width), scale)
    y0, x0 = max(0, top - halo), max(0, left - halo)
    y1, x1 = min(height, top + 6 + halo), min(width, left + 6 + halo)
    tile = net.prepare(lq[:, :, y0:y1, x0:x1], frame=(y0, x0, height, width))
    ys = make_axis(target[0])[math.ceil(top * target[0] / height) : (top + 6) * target[0] // height]
    xs = make_axis(target[1])[math.ceil(left * target[1] / width) : (left + 6) * target[1] // width]
    cell = make_cell(target)[None]
    of_tile = net.query_grid(tile, ys, xs, cell)
    of_whole = net.query_grid(net.prepare(lq), ys, xs, cell)
    torch.testing.assert_close(of_tile, of_whole, rtol=0, atol=1e-5)  # coordinates are float32


def test_a_tile_gives_what_the_whole_gives_with_attention_in_windows() -> None:
    net = make_net(non_local_scales=[2], nonlocal_window=6)
    assert net.reach_px == net.encoder.reach_px + 6
    lq = torch.rand(1, 3, 31, 33, dtype=torch.float64)
    top, left, bottom, right = 13 - net.reach_px, 16 - net.reach_px, 15 + net.reach_px, 18 + net.reach_px
    tile = net.prepare(lq[:, :, top:bottom, left:right], frame=(top, left, 31, 33))
    ys, xs, cell = make_axis(93)[13 * 3 : 15 * 3], make_axis(99)[16 * 3 : 18 * 3], make_cell((93, 99))[None]
    of_whole = net.query_grid(net.prepare(lq), ys, xs, cell)
    torch.testing.assert_close(net.query_grid(tile, ys, xs, cell), of_whole, rtol=0, atol=1e-5)
    everywhere = make_net(non_local_scales=[2])  # the same weights
    assert (of_whole - everywhere.query_grid(everywhere.prepare(lq), ys, xs, cell)).abs().max() > 1e-5


def test_the_residual_is_bilinear_interpolation() -> None:
    net = make_net(torch.float32)
    for parameter in net.decoder.imnet_q.parameters():
        torch.nn.init.zeros_(parameter)
    lq = torch.rand(1, 3, 9, 11)
    expected = torch.nn.functional.interpolate(lq, (23, 31), mode="bilinear", align_corners=False)
    torch.testing.assert_close(net.upscale(lq, (23, 31)), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("non_local", [[], [2]])
def test_half_precision_stays_near_single(non_local: list[int]) -> None:
    net = make_net(torch.float32, non_local_scales=non_local)
    lq = torch.rand(1, 3, 40, 200)  # wide enough for a coordinate in bfloat16 to be off by a pixel
    exact = net.upscale(lq, (80, 400))
    half = net.bfloat16().upscale(lq.bfloat16(), (80, 400)).float()
    assert (half - exact).abs().mean() < 5e-3
    assert (half - exact).abs().max() < 5e-2


def test_the_spec_of_a_network_names_every_default() -> None:
    spec = make_net().spec
    assert spec["encoder"] == {**EDSR, "res_scale": 1.0}
    options = {"nonlocal_window", "hidden", "non_local_scales", "local_size", "neighbours", "feat_unfold", "ensemble"}
    assert {"type", *options} == spec["decoder"].keys()


def test_the_reach_is_how_far_a_change_of_one_pixel_is_seen() -> None:
    net = make_net(torch.float64)
    lq = torch.rand(1, 3, 1, 41, dtype=torch.float64)
    changed = lq.clone()
    changed[..., 20] += 0.1
    seen = (net.upscale(changed, (1, 41)) - net.upscale(lq, (1, 41))).abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert net.reach_px is not None
    assert (seen - 20).abs().max() <= net.reach_px
    assert make_net(non_local_scales=[2]).reach_px is None


def test_the_published_baseline_has_the_published_number_of_parameters() -> None:
    net = build_network({"type": "CiaoSR", "encoder": {"type": "EDSREncoder"}, "decoder": {"type": "CiaoSRDecoder"}})
    assert sum(p.numel() for p in net.encoder.parameters()) == 1_220_416
    assert sum(p.numel() for p in net.decoder.parameters()) == 1_428_614  # the paper's 1.4 M


@pytest.mark.parametrize(
    ("decoder", "path"),
    [
        ({"type": "CiaoSRDecoder", "hidden": []}, "network_g.decoder.hidden"),
        ({"type": "CiaoSRDecoder", "non_local_scales": [5]}, "network_g.decoder"),
        ({"type": "CiaoSRDecoder", "local_size": 3}, "network_g.decoder"),
        ({"type": "CiaoSRDecoder", "neighbours": "lif"}, "network_g.decoder.neighbours"),
        ({"type": "CiaoSRDecoder", "feat_dim": 64}, "network_g.decoder.feat_dim"),
        ({"type": "CiaoDecoder"}, "network_g.decoder.type"),
        ({}, "network_g.decoder.type"),
    ],
)
def test_a_wrong_spec_is_refused_at_the_path_of_the_key(decoder: dict[str, Any], path: str) -> None:
    with pytest.raises(OptionError) as caught:
        build_network({"type": "CiaoSR", "encoder": EDSR, "decoder": decoder})
    assert caught.value.path == path
