"""The networks and photos that are timed, and what is timed of them."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from realciao.archs import build_network
from realciao.benchmarks.instruments.laps import Meter, clock
from realciao.images.pixels import AnyImage
from realciao.options.run import load_options
from realciao.upscaling.upscaler import Upscaler
from realciao.weights.checkpoint import load_weights

LITE = Path(__file__).resolve().parents[3] / "options" / "lite.yml"
FIXED_SCALE = 4


def make_net(args: argparse.Namespace) -> Any:
    """The network: of the weights that are given, else fresh."""
    if args.weights:
        return load_weights(args.weights)
    torch.manual_seed(0)
    return build_network(load_options([LITE]).network_g)


def make_fixed(net: Any) -> Any:
    """A network with the same encoder, behind which convolutions and pixel shuffle make x4."""
    torch.manual_seed(0)
    decoder = {"type": "PixelShuffleDecoder", "scale": FIXED_SCALE}
    return build_network({"type": "CiaoSR", "encoder": net.spec["encoder"], "decoder": decoder, "res": False})


def make_photo(height: int, width: int) -> AnyImage:
    """Noise: no way's time depends on the content."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def meter_of(args: argparse.Namespace, upscaler: Upscaler) -> tuple[Meter, int]:
    """A meter, and which of its two readings counts."""
    return clock(upscaler.device), int(args.threads == 1 and upscaler.device.type == "cpu")


def seconds_name(args: argparse.Namespace) -> str:
    """What the seconds are, for the head of a column."""
    return "s CPU" if args.threads == 1 and args.device == "cpu" else "s"
