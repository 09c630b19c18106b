"""The ways to upscale an image that are compared: ours, and the plain forms of the tests."""

import argparse
import math
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from realciao.archs import build_network
from realciao.benchmarks.instruments.judges import plain
from realciao.benchmarks.instruments.laps import Laps

CHUNK = 30_000
"""Queries of a chunk in the released code."""

ENCODERS = {
    "edsr": {"type": "EDSREncoder"},
    "rdn": {"type": "RDNEncoder"},
    "swinir": {"type": "SwinIREncoder"},
}
HALF = {"rgb_mean": [0.5] * 3, "rgb_std": [0.5] * 3}
NETWORKS: dict[str, dict[str, Any]] = {
    "CiaoSR": {"decoder": {"type": "CiaoSRDecoder"}},
    "LIIF": {"decoder": {"type": "LIIFDecoder"}, "res": False, **HALF},
    "LTE": {"decoder": {"type": "LTEDecoder"}, **HALF},
}


class Case(NamedTuple):
    """A square LR image and what becomes of it."""

    side: int
    scale: int

    @property
    def size(self) -> tuple[int, int]:
        return self.side * self.scale, self.side * self.scale

    @property
    def queries(self) -> int:
        return math.prod(self.size)

    @property
    def chunks(self) -> int:
        return math.ceil(self.queries / CHUNK)


def make_net(args: argparse.Namespace, encoder: str, network: str = "CiaoSR", **decoder: Any) -> Any:
    """A network of NETWORKS with fresh weights, in evaluation mode; `decoder` changes its decoder's spec."""
    torch.manual_seed(0)
    spec = {"type": "CiaoSR", "encoder": ENCODERS[encoder], **NETWORKS[network]}
    net = build_network(spec | {"decoder": spec["decoder"] | decoder})
    return net.to(args.device, getattr(torch, args.dtype)).eval()


def make_image(args: argparse.Namespace, side: int, batch: int = 1) -> Float[Tensor, "b 3 h w"]:
    """Noise; no way takes longer or less long for it."""
    image = torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0))
    return image.to(args.device, getattr(torch, args.dtype))


@torch.inference_mode()
def ours(net: Any, lq: Float[Tensor, "1 3 h w"], case: Case, laps: Laps) -> Float[Tensor, "q 3"]:
    """The image by the network itself; laps: whole, encoder, non_local."""
    attention = getattr(net.decoder, "cs_attn", None)
    with laps.watch(encoder=net.encoder, non_local=attention), laps.lap("whole"):
        image = net.upscale(lq, case.size)
    return image.flatten(2)[0].T


@torch.inference_mode()
def plain_ciaosr(
    net: Any, lq: Float[Tensor, "1 3 h w"], case: Case, laps: Laps, hoist_non_local: bool, chunks: int
) -> Float[Tensor, "q 3"]:
    """The first chunks of the image by the plain formula; laps as in `ours`."""
    network, ciaosr = plain("network"), plain("ciaosr")

    def non_local(attention: Any, feat: Tensor) -> Tensor:
        with laps.lap("non_local"):
            return ciaosr.published_non_local(attention, feat)

    decode = partial(
        ciaosr.plain_decode, net.decoder, chunk=CHUNK, hoist_non_local=hoist_non_local, non_local=non_local
    )
    coord, cell = network.plain_grid(lq, case.size)
    with laps.watch(encoder=net.encoder), laps.lap("whole"):
        return network.plain_network(net, lq, coord[:, : chunks * CHUNK], cell, decode)[0].clamp(0, 1)


@torch.inference_mode()
def plain_baseline(name: str, net: Any, lq: Float[Tensor, "1 3 h w"], case: Case, laps: Laps) -> Float[Tensor, "q 3"]:
    """The image by the plain formula of LIIF or LTE; laps: whole, encoder."""
    decode = partial(getattr(plain(name), f"plain_{name}"), net.decoder)
    with laps.watch(encoder=net.encoder), laps.lap("whole"):
        image = plain("network").plain_image(net, lq, case.size, decode)
    return image.flatten(2)[0].T


def guess(
    encoder: str,
    network: str,
    case: Case,
    way: str,
    chunks: int = 1,
    non_local: bool = True,
    window: int | None = None,
) -> float:
    """Roughly the multiply-accumulates of a way, for an estimate of the time left.

    Args:
        way: "ours"; "plain", "published" or "rule", which do so many `chunks`; else a baseline.
        non_local: whether the network has its attention, where it has one.
        window: of the attention, in pixels; None for the whole image.
    """
    weights = _weights(encoder, network)
    queries = min(case.queries, chunks * CHUNK) if way in ("plain", "published", "rule") else case.queries
    work = case.side**2 * weights.encoder + queries * weights.decoder * (2.0 if way == "ours" else 3.5)
    if non_local:
        pairs = case.side**2 * min(case.side, window or case.side) ** 2 / 4
        work += weights.attention * pairs * {"ours": 4.5, "plain": 40.5}.get(way, 40.5 * chunks)
    return work


class _Weights(NamedTuple):
    encoder: int
    decoder: int
    attention: int
    """Channels that the non-local attention reads; 0 without."""


@cache
def _weights(encoder: str, network: str) -> _Weights:
    net = make_net(argparse.Namespace(device="cpu", dtype="float32"), encoder, network)
    decoder = sum(p.numel() for name, p in net.decoder.named_parameters() if not name.startswith("cs_attn"))
    attention = net.encoder.out_dim if hasattr(net.decoder, "cs_attn") else 0
    return _Weights(sum(p.numel() for p in net.encoder.parameters()), decoder, attention)
