"""Multiply-accumulates an output pixel, counted, by way and part."""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch import nn

from realciao.benchmarks.decoder.counting import Macs, count
from realciao.benchmarks.decoder.ways import Case, guess, make_image, make_net, ours, plain_baseline, plain_ciaosr
from realciao.benchmarks.instruments.report import Figure, Table

NOTE = (
    "Thousands of multiply-accumulates an output pixel. Tables: the decoder's convolutions, once an LR pixel; queries: its "
    "matrix products; elementwise: its products number by number, which are not in the total. Floor: of the queries' matrix "
    "products, those that no algebra moves to the LR pixels, because they follow a ReLU on what depends on the query: the "
    "hidden layers of imnet_k and imnet_v and the last of imnet_v for each of the four cells, and imnet_q."
)
WAYS = {
    "ours": "CiaoSR",
    "plain": "CiaoSR",
    "LIIF": "LIIF",
    "our LIIF": "LIIF",
    "LTE": "LTE",
    "our LTE": "LTE",
}


def cost(args: argparse.Namespace) -> float:
    """Of all tables."""
    return sum(_cost(encoder, way, case) for encoder in args.encoders for way in WAYS for case in _cases(args))


def tables(args: argparse.Namespace, done: Callable[[float, str], None]) -> Iterator[Table]:
    """Per encoder, each way at each scale; the LR image is the smallest of `sizes`."""
    for encoder in args.encoders:
        rows: list[dict[str, Figure]] = []
        for case in _cases(args):
            for way in WAYS:
                net = make_net(args, encoder, WAYS[way])
                macs = _count(args, net, way, case)
                rows.append(_row(case, way, macs, 1, net))
                if way == "plain":
                    rows.append(_row(case, "published", macs, case.chunks, net))
                done(_cost(encoder, way, case), f"macs: {encoder} x{case.scale} {way}")
        yield Table("macs", f"Multiply-accumulates an output pixel, {encoder}, {min(args.sizes)} px LR", rows, NOTE)


def floor(decoder: Any) -> int:
    """Multiply-accumulates of a query that no algebra moves to the LR pixels."""
    networks = (decoder.imnet_k, decoder.imnet_v)
    hidden = sum(layer.weight.numel() for mlp in networks for layer in _linear(mlp)[1:-1])
    cells = decoder.local_size**2
    return cells * (hidden + decoder.imnet_v.last.weight.numel()) + sum(
        layer.weight.numel() for layer in _linear(decoder.imnet_q)
    )


def _linear(mlp: Any) -> list[nn.Linear]:
    return [layer for layer in mlp.layers if isinstance(layer, nn.Linear)]


def _cases(args: argparse.Namespace) -> list[Case]:
    return [Case(min(args.sizes), scale) for scale in args.scales]


def _cost(encoder: str, way: str, case: Case) -> float:
    return guess(encoder, WAYS[way], case, way, case.chunks)


def _count(args: argparse.Namespace, net: Any, way: str, case: Case) -> Macs:
    lq = make_image(args, case.side)
    if way == "plain":
        plain = partial(plain_ciaosr, hoist_non_local=True, chunks=case.chunks)
    else:
        plain = partial(plain_baseline, way.lower())
    run = ours if way.startswith("our") else plain
    return count(lambda laps: run(net, lq, case, laps))


def _row(case: Case, way: str, macs: Macs, passes: int, net: Any) -> dict[str, Figure]:
    """`passes`: of the non-local attention."""
    parts = [macs.encoder, passes * macs.non_local, macs.tables, macs.queries]
    names = ("encoder", "non-local", "tables", "queries")
    return {
        "scale": case.scale,
        "way": way,
        **{name: part / case.queries / 1e3 for name, part in zip(names, parts, strict=True)},
        "total": sum(parts) / case.queries / 1e3,
        "elementwise": macs.elementwise / case.queries / 1e3,
        "floor": floor(net.decoder) / 1e3 if hasattr(net.decoder, "imnet_k") else None,
    }
