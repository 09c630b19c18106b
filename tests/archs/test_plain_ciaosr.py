"""The timed form of the plain path against the form that judges, and against the network."""

from typing import Any

import pytest
import torch
from plain_ciaosr import plain_non_local, plain_upscale, published_non_local

from realciao.archs import build_network
from realciao.archs.decoders.cross_scale_attention import CrossScaleAttention
from realciao.coords import scaled_size


def make_net(**decoder: Any) -> Any:
    torch.manual_seed(0)
    encoder = {"type": "EDSREncoder", "num_feat": 4, "num_block": 1}
    spec = {"type": "CiaoSRDecoder", "hidden": [8, 8], **decoder}
    return build_network({"type": "CiaoSR", "encoder": encoder, "decoder": spec}).eval()


@pytest.mark.parametrize("size", [(4, 4), (6, 9), (7, 5)])
def test_the_published_attention_equals_the_loop_over_pixels_in_outputs_and_gradients(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    attention = CrossScaleAttention(6, (2, 3, 4)).double()
    feat = torch.randn(2, 6, *size, dtype=torch.float64, requires_grad=True)
    inputs = [feat, *attention.parameters()]
    outputs = [form(attention, feat) for form in (published_non_local, plain_non_local)]
    torch.testing.assert_close(*outputs, rtol=1e-11, atol=1e-11)
    probe = torch.rand_like(outputs[0])
    for ours, theirs in zip(*[torch.autograd.grad((out * probe).sum(), inputs) for out in outputs], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("scale", [1.0, 2.0, 2.37, 3.0, (1.5, 4.0)])
@pytest.mark.parametrize("hoist_non_local", [True, False])
def test_the_plain_image_is_the_networks_whatever_the_chunks(
    scale: float | tuple[float, float], hoist_non_local: bool
) -> None:
    net = make_net(non_local_scales=[2])
    lq = torch.rand(1, 3, 7, 9)
    size = scaled_size((7, 9), scale)
    plain = plain_upscale(net, lq, size, chunk=50, hoist_non_local=hoist_non_local)
    torch.testing.assert_close(net.upscale(lq, size), plain, rtol=0, atol=2e-6)


def test_only_the_published_way_repeats_the_attention_for_each_chunk() -> None:
    net = make_net(non_local_scales=[2])
    calls: list[int] = []
    net.decoder.cs_attn.conv_assembly.register_forward_hook(lambda *_: calls.append(1))
    for hoist_non_local, expected in ((True, 1), (False, 4)):
        calls.clear()
        plain_upscale(net, torch.rand(1, 3, 6, 6), (10, 20), chunk=60, hoist_non_local=hoist_non_local)
        assert len(calls) == expected
