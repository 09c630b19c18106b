"""The baselines' decoders against their papers' formulas, query by query, and against themselves cut into pieces."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from plain_itsrn import plain_itsrn
from plain_liif import plain_liif
from plain_lte import plain_lte
from plain_metasr import plain_metasr
from torch import Tensor

from realciao.archs import build_network
from realciao.coords import make_axis, make_cell, make_coord, scaled_size
from realciao.errors import OptionError
from realciao.weights.checkpoint import load_weights, save_weights

Plain = Callable[[Any, Tensor, Tensor, Tensor], Tensor]

EDSR = {"type": "EDSREncoder", "num_feat": 4, "num_block": 1}
SMALL: dict[str, dict[str, Any]] = {
    "LIIFDecoder": {"hidden": [8, 8]},
    "LTEDecoder": {"hidden_dim": 12, "hidden": [8, 8]},
    "MetaSRDecoder": {"hidden": 8},
    "ITSRNDecoder": {"hidden": [8, 8], "position_hidden": 6},
}
PLAIN: dict[str, Plain] = {
    "LIIFDecoder": plain_liif,
    "LTEDecoder": plain_lte,
    "MetaSRDecoder": plain_metasr,
    "ITSRNDecoder": plain_itsrn,
}
HALF = {"rgb_mean": [0.5] * 3, "rgb_std": [0.5] * 3}

names = pytest.mark.parametrize("name", SMALL)
scales = st.one_of(st.sampled_from([1.0, 1.5, 2.0, 2.5, 3.0, 5.0]), st.floats(1, 30))


def make_net(name: str, dtype: torch.dtype = torch.float64) -> Any:
    torch.manual_seed(0)
    spec = {"type": "CiaoSR", "encoder": EDSR, "decoder": {"type": name, **SMALL[name]}, "res": False, **HALF}
    return build_network(spec).to(dtype).eval()


@names
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    scale=st.tuples(scales, scales),
    seed=st.integers(0, 99),
)
def test_the_decoder_equals_the_papers_formula_in_outputs_and_gradients(
    name: str, size: tuple[int, int], scale: tuple[float, float], seed: int
) -> None:
    decoder = make_net(name).decoder
    torch.manual_seed(seed)
    # a batch in which the samples have different cells
    cell = torch.stack([make_cell(scaled_size(size, scale)), make_cell(scaled_size(size, 2.0))])
    coord = torch.rand(2, 1, 12, 2) * 2 - 1
    feat = torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
    lq = torch.rand(2, 3, *size, dtype=torch.float64)
    prepared = decoder.prepare(feat, lq, (0, 0, *size), dense=False)
    ours = decoder.query(prepared, coord, cell)[:, :, 0].transpose(1, 2)
    plain = PLAIN[name](decoder, feat, coord[:, 0], cell)
    inputs = [feat, *decoder.parameters()]
    probe = torch.rand_like(plain)
    gradients = [torch.autograd.grad((out * probe).sum(), inputs) for out in (ours, plain)]
    torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-10)
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-10)


@names
@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 2.37, 3.0, 4.0, 8.0])
def test_whole_images_equal_the_papers_formula_where_queries_lie_on_the_borders_of_cells(
    name: str, scale: float
) -> None:
    net = make_net(name, torch.float32)
    lq, size = torch.rand(1, 3, 11, 8), scaled_size((11, 8), scale)
    coord, cell = make_coord(size).view(1, -1, 2), make_cell(size)[None]
    with torch.no_grad():
        plain = PLAIN[name](net.decoder, net.encoder(2 * lq - 1), coord, cell) / 2 + 0.5
    expected = plain.transpose(1, 2).view(1, 3, *size).clamp(0, 1)
    torch.testing.assert_close(net.upscale(lq, size), expected, rtol=0, atol=1e-5)


def test_the_plain_formulas_give_the_same_in_chunks() -> None:
    for name, plain in PLAIN.items():
        decoder, coord, cell = make_net(name).decoder, torch.rand(1, 50, 2) * 2 - 1, make_cell((17, 19))[None]
        feat = torch.randn(1, 4, 6, 7, dtype=torch.float64)
        chunks: Any = plain
        torch.testing.assert_close(chunks(decoder, feat, coord, cell, 7), plain(decoder, feat, coord, cell))


@names
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1), (2, 3)])
@pytest.mark.parametrize("scale", [1.0, 2.37, 7.9])
def test_tiny_images_give_finite_results_of_the_right_size(name: str, size: tuple[int, int], scale: float) -> None:
    out = make_net(name, torch.float32).upscale(torch.rand(1, 3, *size), scaled_size(size, scale))
    assert out.shape[2:] == scaled_size(size, scale)
    assert torch.isfinite(out).all()


@names
def test_a_grid_of_queries_equals_the_same_points_one_by_one(name: str) -> None:
    net = make_net(name)
    target = (17, 19)
    prepared = net.prepare(torch.rand(2, 3, 7, 6, dtype=torch.float64))
    cell = make_cell(target).expand(2, -1)
    grid = net.query_grid(prepared, make_axis(target[0]), make_axis(target[1]), cell)
    points = net.query(prepared, make_coord(target).expand(2, -1, -1, -1), cell)
    torch.testing.assert_close(grid, points, rtol=0, atol=0)


@names
def test_queries_in_chunks_equal_all_at_once_and_a_batch_equals_its_samples(name: str) -> None:
    net = make_net(name)
    lq = torch.rand(2, 3, 8, 9, dtype=torch.float64)
    coord = torch.rand(2, 1, 50, 2) * 2 - 1
    cell = torch.tensor([[0.1, 0.05], [0.03, 0.2]])
    whole = net(lq, coord, cell)
    prepared = net.prepare(lq, dense=False)
    chunks = [net.query(prepared, part, cell) for part in coord.split(7, dim=2)]
    torch.testing.assert_close(torch.cat(chunks, dim=3), whole, rtol=0, atol=1e-12)
    alone = torch.cat([net(lq[i : i + 1], coord[i : i + 1], cell[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-12)


@names
@settings(max_examples=8, deadline=None, derandomize=True)
@given(scale=st.tuples(scales, scales), top=st.integers(0, 12), left=st.integers(0, 12))
def test_a_tile_in_the_frame_of_the_image_gives_what_the_whole_gives(
    name: str, scale: tuple[float, float], top: int, left: int
) -> None:
    net = make_net(name)
    lq = torch.rand(1, 3, 18, 19, dtype=torch.float64)
    height, width = lq.shape[2:]
    target = scaled_size((height, width), scale)
    y0, x0 = max(0, top - net.reach_px), max(0, left - net.reach_px)
    y1, x1 = min(height, top + 6 + net.reach_px), min(width, left + 6 + net.reach_px)
    tile = net.prepare(lq[:, :, y0:y1, x0:x1], frame=(y0, x0, height, width))
    ys = make_axis(target[0])[math.ceil(top * target[0] / height) : (top + 6) * target[0] // height]
    xs = make_axis(target[1])[math.ceil(left * target[1] / width) : (left + 6) * target[1] // width]
    cell = make_cell(target)[None]
    of_tile = net.query_grid(tile, ys, xs, cell)
    torch.testing.assert_close(of_tile, net.query_grid(net.prepare(lq), ys, xs, cell), rtol=0, atol=1e-12)


@names
def test_the_reach_is_exactly_how_far_a_feature_is_seen(name: str) -> None:
    decoder = make_net(name).decoder
    feat = torch.randn(1, 4, 1, 21, dtype=torch.float64)
    changed = feat.clone()
    changed[..., 10] += 1
    n_out = 37  # no multiple of 21: some HR pixels lie across the border of two cells
    ys, cell = torch.zeros(1), make_cell((1, n_out))[None]
    outputs = []
    for one in (feat, changed):
        prepared = decoder.prepare(one, one[:, :3], (0, 0, 1, 21), dense=True)
        outputs.append(decoder.query_grid(prepared, ys, make_axis(n_out), cell))
    seen = (outputs[0] - outputs[1]).abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    seen = ((seen + 0.5) * 21 / n_out).long()
    assert (seen - 10).abs().max() == decoder.reach_px


@pytest.mark.parametrize(
    ("name", "count", "with_edsr"),
    [
        ("LIIFDecoder", 346_883, 1_567_299),  # published: 1.567 M
        ("LTEDecoder", 493_827, 1_714_243),  # published: 1.714 M
        ("MetaSRDecoder", 445_120, 1_665_536),
        ("ITSRNDecoder", 645_314, 1_865_730),
    ],
)
def test_the_baselines_have_the_published_number_of_parameters(name: str, count: int, with_edsr: int) -> None:
    net = build_network({"type": "CiaoSR", "encoder": {"type": "EDSREncoder"}, "decoder": {"type": name}})
    assert sum(p.numel() for p in net.decoder.parameters()) == count
    assert sum(p.numel() for p in net.parameters()) == with_edsr


@names
def test_every_parameter_gets_a_gradient(name: str) -> None:
    net = make_net(name)
    net(
        torch.rand(1, 3, 5, 5, dtype=torch.float64), torch.rand(1, 1, 20, 2), make_cell((12, 12))[None]
    ).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.decoder.parameters())


@names
def test_a_network_loads_from_its_own_file_alone(name: str, tmp_path: Path) -> None:
    net = make_net(name, torch.float32)
    save_weights(net, tmp_path / "net.safetensors")
    loaded: Any = load_weights(tmp_path / "net.safetensors")
    lq = torch.rand(1, 3, 6, 7)
    assert loaded.spec == net.spec
    torch.testing.assert_close(loaded.upscale(lq, (14, 15)), net.upscale(lq, (14, 15)), rtol=0, atol=0)


@names
def test_half_precision_stays_near_single(name: str) -> None:
    net = make_net(name, torch.float32)
    lq = torch.rand(1, 3, 12, 200)  # wide enough for a coordinate in bfloat16 to be off by a pixel
    exact = net.upscale(lq, (24, 400))
    half = net.bfloat16().upscale(lq.bfloat16(), (24, 400)).float()
    assert (half - exact).abs().mean() < 5e-3
    assert (half - exact).abs().max() < 5e-2


@pytest.mark.parametrize(
    ("decoder", "path"),
    [
        ({"type": "LIIFDecoder", "hidden": []}, "network_g.decoder.hidden"),
        ({"type": "LIIFDecoder", "hidden": [8, 0]}, "network_g.decoder.hidden"),
        ({"type": "LTEDecoder", "hidden_dim": 7}, "network_g.decoder.hidden_dim"),
        ({"type": "LTEDecoder", "hidden_dim": 0}, "network_g.decoder.hidden_dim"),
        ({"type": "MetaSRDecoder", "hidden": [256]}, "network_g.decoder.hidden"),
        ({"type": "ITSRNDecoder", "position_hidden": -1}, "network_g.decoder.position_hidden"),
        ({"type": "PixelShuffleDecoder"}, "network_g.decoder.scale"),
        ({"type": "PixelShuffleDecoder", "scale": 5}, "network_g.decoder.scale"),
        ({"type": "BicubicDecoder"}, "network_g.decoder"),
    ],
)
def test_a_wrong_spec_is_refused_at_the_path_of_the_key(decoder: dict[str, Any], path: str) -> None:
    with pytest.raises(OptionError) as caught:
        build_network({"type": "CiaoSR", "encoder": EDSR, "decoder": decoder})
    assert caught.value.path.removesuffix(".1") == path
    assert "\n" not in str(caught.value)
