"""A teacher of a few thousand random weights, and pairs that it has taught."""

from pathlib import Path
from typing import Any

import torch

from realciao.archs import build_network
from realciao.preparing.teach import Lessons, open_folder, teach
from realciao.weights.teachers import read_teacher
from realciao.weights.teaching import RunningTeacher

NETWORK = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "num_grow_ch": 4}


def save_teacher(path: Path, seed: int = 0) -> str:
    """Writes an RRDBNet for x4 in BasicSR's layout; returns the path as text."""
    torch.manual_seed(seed)
    net = build_network(NETWORK)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"params_ema": {name: 3 * tensor for name, tensor in net.state_dict().items()}}, path)
    return str(path)


def save_pairs(folder: Path, photos: Path, teacher: str, count: int = 6, **lessons: Any) -> str:
    """Has the teacher make so many pairs of 8 px patches; returns the folder as text."""
    known = read_teacher(teacher)
    wanted = Lessons(
        **({"pipeline": "bicubic", "lq_size": 8, "scale_range": (1, 4)} | lessons), photos=str(photos), count=count
    )
    folder.mkdir(parents=True, exist_ok=True)
    open_folder(folder, wanted, known, "float32")
    teach(wanted, RunningTeacher(known, torch.device("cpu"), features=wanted.features), folder)
    return str(folder)
