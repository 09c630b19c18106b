"""Weights of tiny random networks."""

from pathlib import Path

import torch

import realciao


def save_tiny(path: Path, seed: int = 0, channels: int = 4) -> str:
    """Writes those of a network that takes no time; returns the path as text."""
    torch.manual_seed(seed)
    encoder = {"type": "EDSREncoder", "num_feat": channels, "num_block": 1}
    decoder = {"type": "CiaoSRDecoder", "hidden": [channels], "non_local_scales": []}
    realciao.save_weights(realciao.build_network({"type": "CiaoSR", "encoder": encoder, "decoder": decoder}), path)
    return str(path)
