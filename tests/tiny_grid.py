"""A data set and options so small that a test can afford them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from realciao.evaluation.grid.options import load_grid_options
from realciao.evaluation.grid.runner import Runner


def write_pictures(folder: Path, sizes: dict[str, tuple[int, int]]) -> Path:
    """Smooth random pictures as PNG, by name and (height, width)."""
    rng = np.random.default_rng(0)
    for name, (height, width) in sizes.items():
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = cv2.resize(rng.random((6, 7, 3), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(path), (image.clip(0, 1) * 255).astype(np.uint8))
    return folder


def tiny_grid(folder: Path, **changes: Any) -> Runner:
    """A runner of bicubic on three pictures at two scales, with the options changed."""
    write_pictures(folder / "gt", {"a": (24, 30), "b": (25, 31), "sub/c": (33, 27)})
    options = {
        "name": "tiny",
        "output": str(folder / "out"),
        "methods": ["bicubic"],
        "data": [{"name": "made", "dataroot_gt": str(folder / "gt")}],
        "scales": [2, 2.5],
        "metrics": ["psnr", "psnr_y"],
    } | changes
    path = folder / "options.yml"
    path.write_text(yaml.safe_dump(options), encoding="utf-8")
    return Runner(*load_grid_options(path))
