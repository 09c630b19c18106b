"""Peak memory of an image's whole way, each in a process of its own, beside a formula."""

import argparse
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from realciao.archs.ciaosr_arch import QUERIES_PER_BAND
from realciao.benchmarks.decoder.ways import Case, guess, make_image, make_net
from realciao.benchmarks.instruments.report import Figure, Table
from realciao.machine.memory import peak_bytes

SCALE = 4
LIBRARIES_MIB = 10
"""What BLAS and oneDNN work in, and an allocator keeps."""
NOTE = (
    "The formula is the largest of what three steps hold, in numbers of the image's type. With C the map's channels, m the "
    "non-local scales, V = 9 C + C m, D the hidden width, h x w the LR image, H x W the result: the encoder (its own peak, "
    "measured); the non-local attention, 13 C h w + 864 h w / s^2 (2 million a thread at least); the decoding, "
    "(C + C m + 3) h w + 3 H W + the larger of 3 H W and n (14 C + 13 D + 10) + q (14 V + 12 D) + 12 Q. There Q is the queries "
    f"of a band of rows, {QUERIES_PER_BAND} at most; n the LR pixels that they read, w (Q / W / s + 3); q the queries of a "
    f"chunk. And {LIBRARIES_MIB} MiB. Only the maps and the result grow with the area; n grows with the width."
)
MODES: dict[str, dict[str, Any]] = {"off": {"non_local_scales": []}, "global": {}}


def cost(args: argparse.Namespace) -> float:
    """Of all tables."""
    return sum(_cost(*row) for row in _rows(args))


def tables(args: argparse.Namespace, done: Callable[[float, str], None]) -> Iterator[Table]:
    """One row an encoder, size and kind of non-local attention."""
    rows: list[dict[str, Figure]] = []
    for encoder, mode, side in _rows(args):
        rows.append(_measure(args, encoder, mode, side))
        done(_cost(encoder, mode, side), f"memory: {encoder}, non-local {mode}, {side} x{SCALE}")
    yield Table("memory", f"Peak memory of an image at x{SCALE}, MiB", rows, NOTE)


def formula(net: Any, case: Case, threads: int) -> int:
    """Bytes that the attention and the decoding of one image need at most, the encoder's map included; see NOTE."""
    decoder, item = net.decoder, net.mean.element_size()
    c, d, m = net.encoder.out_dim, decoder.imnet_k.first.out_features, 0
    lr, queries = case.side**2, case.queries
    attention = 0.0
    if decoder.cs_attn is not None:
        scales = decoder.cs_attn.scales
        m = len(scales)
        attention = 13 * c * lr + max(864 * lr / min(scales) ** 2, 2e6 * threads)
    width = case.size[1]
    rows = min(case.size[0], max(1, QUERIES_PER_BAND // width))
    read = case.side * min(case.side, math.ceil(rows / case.scale) + 3)
    chunk = min(queries, net.decoder.queries_per_chunk(net.mean.device))
    value = decoder.imnet_v.last.out_features
    band = read * (14 * c + 13 * d + 10) + chunk * (14 * value + 12 * d) + 12 * rows * width
    decoding = (c + c * m + 3) * lr + 3 * queries + max(3 * queries, band)
    return int(item * max(attention, decoding)) + (LIBRARIES_MIB << 20)


def _rows(args: argparse.Namespace) -> list[tuple[str, str, int]]:
    return [(encoder, mode, side) for encoder in args.encoders for mode in MODES for side in args.sizes]


def _cost(encoder: str, mode: str, side: int) -> float:
    return guess(encoder, "CiaoSR", Case(side, SCALE), "ours", non_local=mode != "off")


def _measure(args: argparse.Namespace, encoder: str, mode: str, side: int) -> dict[str, Figure]:
    case, net = Case(side, SCALE), make_net(args, encoder, **MODES[mode])
    whole, of_encoder = (peak_bytes(_prepare, args, encoder, mode, side, alone) for alone in (False, True))
    allowed = max(of_encoder, formula(net, case, args.threads))
    return {
        "encoder": encoder,
        "non-local": mode,
        "LR": side,
        "whole": whole / 2**20,
        "by the formula": allowed / 2**20,
        "within": whole <= allowed,
        "encoder alone": of_encoder / 2**20,
        "result": 3 * case.queries * net.mean.element_size() / 2**20,
    }


def _prepare(
    args: argparse.Namespace, encoder: str, mode: str, side: int, encoder_alone: bool
) -> tuple[Callable[[], object], str]:
    torch.set_num_threads(args.threads)
    net, lq = make_net(args, encoder, **MODES[mode]), make_image(args, side)
    size = Case(side, SCALE).size
    net.upscale(make_image(args, 16), (16 * SCALE, 16 * SCALE))  # what is loaded but once
    run = torch.inference_mode()(net.encoder) if encoder_alone else partial(net.upscale, size=size)
    return partial(run, lq), args.device
