"""The fixed-scale upsamplers against BasicSR's own networks with the same weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from realciao.archs import build_network
from realciao.coords import make_axis, make_cell, make_coord
from realciao.errors import UserError
from realciao.registry import ARCH_REGISTRY, find
from realciao.weights.checkpoint import load_weights, save_weights

EDSR, SwinIR = find(ARCH_REGISTRY, "EDSR"), find(ARCH_REGISTRY, "SwinIR")
SCALES = (2, 3, 4, 8)


def make_net(scale: int, num_feat: int | None = None, **settings: Any) -> Any:
    torch.manual_seed(0)
    encoder = {"type": "EDSREncoder", "num_feat": 4, "num_block": 2}
    decoder = {"type": "PixelShuffleDecoder", "scale": scale, "num_feat": num_feat}
    return build_network({"type": "CiaoSR", "encoder": encoder, "decoder": decoder, "res": False, **settings}).eval()


@pytest.mark.parametrize("scale", SCALES)
@torch.no_grad()
def test_edsr_with_its_upsampler_is_basicsrs_edsr(scale: int) -> None:
    judge = EDSR(3, 3, num_feat=4, num_block=2, upscale=scale)
    net = make_net(scale, rgb_std=[1 / 255] * 3)
    weights = judge.state_dict()
    inside = ("upsample.", "conv_last.")
    net.load_state_dict({("decoder." if k.startswith(inside) else "encoder.") + k: v for k, v in weights.items()})
    lq = torch.rand(2, 3, 6, 5)
    size = (6 * scale, 5 * scale)
    coord, cell = make_coord(size).expand(2, -1, -1, -1), make_cell(size).expand(2, -1)
    torch.testing.assert_close(net(lq, coord, cell), judge(lq), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", SCALES)
@torch.no_grad()
def test_the_upsampler_with_a_convolution_before_it_is_swinirs(scale: int) -> None:
    judge = SwinIR(
        img_size=8, embed_dim=12, depths=(1,), num_heads=(2,), window_size=4, upscale=scale, upsampler="pixelshuffle"
    )
    settings = {"type": "PixelShuffleDecoder", "scale": scale, "num_feat": 64}
    encoder = {"type": "EDSREncoder", "num_feat": 12, "num_block": 1}
    decoder: Any = build_network({"type": "CiaoSR", "encoder": encoder, "decoder": settings, "res": False}).decoder
    parts = ("conv_before_upsample.", "upsample.", "conv_last.")
    decoder.load_state_dict({k: v for k, v in judge.state_dict().items() if k.startswith(parts)})
    feat = torch.randn(1, 12, 5, 6)
    size = (5 * scale, 6 * scale)
    prepared = decoder.prepare(feat, feat[:, :3], (0, 0, 5, 6), dense=True)
    ours = decoder.query_grid(prepared, make_axis(size[0]), make_axis(size[1]), make_cell(size)[None])
    expected = judge.conv_last(judge.upsample(judge.conv_before_upsample(feat)))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


def test_points_are_pixels_of_the_upscaled_image_and_so_are_their_gradients() -> None:
    net = make_net(3).double()
    lq = torch.rand(2, 3, 6, 5, dtype=torch.float64)
    coord, cell = make_coord((18, 15)), make_cell((18, 15)).expand(2, -1)
    ys, xs = torch.randint(18, (1, 40)), torch.randint(15, (1, 40))
    image = net(lq, coord.expand(2, -1, -1, -1), cell)
    points = net(lq, coord[ys, xs].expand(2, -1, -1, -1), cell)
    torch.testing.assert_close(points, image[:, :, ys[0], xs[0]][:, :, None], rtol=0, atol=0)
    weights = list(net.parameters())
    gradients = [torch.autograd.grad(out.square().sum(), weights) for out in (points, image[:, :, ys[0], xs[0]])]
    for mine, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_a_tile_in_the_frame_of_the_image_gives_what_the_whole_gives(scale: int) -> None:
    net = make_net(scale).double()
    lq = torch.rand(1, 3, 20, 22, dtype=torch.float64)
    ys, xs = make_axis(20 * scale)[8 * scale : 12 * scale], make_axis(22 * scale)[10 * scale : 14 * scale]
    cell, reach = make_cell((20 * scale, 22 * scale))[None], net.reach_px
    top, left, bottom, right = max(0, 8 - reach), max(0, 10 - reach), min(20, 12 + reach), min(22, 14 + reach)
    tile = net.prepare(lq[:, :, top:bottom, left:right], frame=(top, left, 20, 22))
    whole = net.prepare(lq)
    torch.testing.assert_close(
        net.query_grid(tile, ys, xs, cell), net.query_grid(whole, ys, xs, cell), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("num_feat", [None, 6])
def test_the_reach_is_exactly_how_far_a_feature_is_seen(scale: int, num_feat: int | None) -> None:
    decoder = make_net(scale, num_feat).double().decoder
    feat = torch.randn(1, 4, 1, 21, dtype=torch.float64)
    changed = feat.clone()
    changed[..., 10] += 1
    images = []
    for one in (feat, changed):
        prepared = decoder.prepare(one, one[:, :3], (0, 0, 1, 21), dense=True)
        images.append(prepared.image.view(scale, 21 * scale, 3))
    seen = (images[0] - images[1]).abs().sum(dim=(0, 2)).nonzero().flatten() // scale
    assert (seen - 10).abs().max() == decoder.reach_px


@pytest.mark.parametrize("size", [(13, 10), (11, 10), (12, 11), (12, 9), (24, 20), (6, 5), (1, 1)])
def test_any_other_size_is_refused_in_one_line_that_names_both_scales(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="upscales by 2 and nothing else") as caught:
        make_net(2).upscale(torch.rand(1, 3, 6, 5), size)
    assert "\n" not in str(caught.value)


def test_large_images_are_told_apart_from_those_a_pixel_larger() -> None:
    decoder = make_net(4).decoder
    decoder._check_scale(make_cell((80_000, 7))[:1], 20_000)
    with pytest.raises(UserError):
        decoder._check_scale(make_cell((80_001, 7))[:1], 20_000)


def test_published_upsamplers_have_the_published_number_of_parameters() -> None:
    encoder = {"type": "EDSREncoder"}
    for scale, count in ((2, 1_369_859), (3, 1_554_499), (4, 1_517_571)):  # EDSR baseline: 1.37, 1.55, 1.52 M
        decoder = {"type": "PixelShuffleDecoder", "scale": scale}
        net = build_network({"type": "CiaoSR", "encoder": encoder, "decoder": decoder, "res": False})
        assert sum(p.numel() for p in net.parameters()) == count
        assert sum(p.numel() for p in EDSR(3, 3, upscale=scale).parameters()) == count


def test_a_network_loads_from_its_own_file_alone(tmp_path: Path) -> None:
    net = make_net(4, 6)
    save_weights(net, tmp_path / "net.safetensors")
    loaded: Any = load_weights(tmp_path / "net.safetensors")
    lq = torch.rand(1, 3, 6, 7)
    torch.testing.assert_close(loaded.upscale(lq, (24, 28)), net.upscale(lq, (24, 28)), rtol=0, atol=0)
