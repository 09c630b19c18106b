"""A training run so small that a test can afford it: three made-up photos, both stages, a network of a few hundred weights."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml


def write_photos(folder: Path, count: int = 3, edge: int = 72) -> Path:
    """Smooth random colour images as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        image = cv2.resize(rng.random((9, 9, 3), np.float32), (edge, edge), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"photo_{i}.png"), (image.clip(0, 1) * 255).astype(np.uint8))
    return folder


def tiny_options(folder: Path, **changes: Any) -> dict[str, Any]:
    """The options as a plain dict; its runs and its photos lie in `folder`."""
    photos = str(write_photos(folder / "photos"))
    adam = {"type": "Adam", "lr": 1e-3}
    return {
        "name": "tiny",
        "datasets": {
            "train": {
                "type": "SyntheticDataset",
                "dataroot_gt": photos,
                "pipeline": "bicubic",
                "batch_size": 2,
                "num_workers": 0,
                "lq_size": 8,
                "sample_q": 16,
            },
            "val": [
                {
                    "name": "pairs",
                    "type": "SyntheticValSet",
                    "dataroot_gt": photos,
                    "pipeline": "bicubic",
                    "scales": [2],
                    "gt_size": 32,
                    "num_images": 1,
                }
            ],
        },
        "network_g": {
            "type": "CiaoSR",
            "encoder": {"type": "EDSREncoder", "num_feat": 4, "num_block": 1},
            "decoder": {"type": "CiaoSRDecoder", "hidden": [8], "non_local_scales": []},
        },
        "path": {"experiments_root": str(folder / "experiments")},
        "stages": [
            {
                "name": "psnr",
                "total_iter": 4,
                "optim_g": adam,
                "scheduler": {"type": "MultiStepLR", "milestones": [3], "gamma": 0.5},
                "pixel_opt": {"type": "L1Loss"},
                "ema_decay": 0.9,
            },
            {
                "name": "gan",
                "total_iter": 4,
                "datasets": {"train": {"lq_size": None, "sample_q": None, "window": 16, "margin": 1}},
                "optim_g": adam,
                "optim_d": adam,
                "pixel_opt": {"type": "L1Loss"},
                "network_d": {"type": "UNetDiscriminatorSN", "num_in_ch": 3, "num_feat": 2},
                "gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "loss_weight": 0.1},
                "gan_gt_usm": True,
                "ema_decay": 0.9,
            },
        ],
        "val": {"every": 4, "metrics": ["psnr"]},
        "logger": {"print_every": 1, "save_every": 2},
    } | changes


def write_options(folder: Path, **changes: Any) -> Path:
    """The same as a file."""
    path = folder / "tiny.yml"
    path.write_text(yaml.safe_dump(tiny_options(folder, **changes)), encoding="utf-8")
    return path
