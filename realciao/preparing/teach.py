"""Makes taught pairs: LR patches of degraded photos, with a teacher's result for each, for any number of trainings."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import degradations
from realciao.data import SampleIndex
from realciao.data.photos import find_photos
from realciao.data.reduction import PatchAxis
from realciao.data.synthetic_dataset import SyntheticDataset
from realciao.data.taught_pairs import (
    INDEX,
    Corner,
    TaughtIndex,
    TaughtPair,
    list_pairs,
    pair_path,
    read_index,
    write_index,
    write_pair,
)
from realciao.errors import UserError
from realciao.images.reading import to_array, to_tensor
from realciao.weights.teachers import Teacher
from realciao.weights.teaching import RunningTeacher

BATCH = 8
"""Patches that the teacher sees at a time."""


@dataclass(frozen=True)
class Lessons:
    """A request for pairs."""

    photos: str | list[str]
    """See `find_photos`."""
    pipeline: str | dict[str, Any]
    count: int
    lq_size: int
    scale_range: tuple[float, float]
    """Of the degradations: how much larger the photo's crop is than the patch."""
    seed: int = 0
    gt: bool = False
    """Whether the originals are kept."""
    features: bool = False
    """Whether the map of the teacher's trunk is kept, too."""


def open_folder(folder: Path, lessons: Lessons, teacher: Teacher, dtype: str) -> None:
    """Writes the folder's index, or checks that the one there is of the same request; only `count` may differ.

    Raises:
        UserError: it holds pairs of another request, or other files.
    """
    paths = find_photos(lessons.photos)
    names = "\n".join(f"{path.name} {path.stat().st_size}" for path in paths)
    index = TaughtIndex(
        teacher=teacher.notes(),
        teacher_scale=teacher.scale,
        dtype=dtype,
        pipeline=lessons.pipeline,
        pipeline_sha256=_file_digest(lessons.pipeline),
        photos=len(paths),
        photos_sha256=hashlib.sha256(names.encode()).hexdigest(),
        seed=lessons.seed,
        lq_size=lessons.lq_size,
        scale_range=lessons.scale_range,
        gt=lessons.gt,
        kept="trunk" if lessons.features else None,
    )
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / INDEX).exists():
            raise UserError(
                f"{folder}: holds other files, and no taught pairs (no {INDEX}); give a new or an empty folder"
            )
        there = read_index(folder)
        other = [key for key in index.__struct_fields__ if getattr(there, key) != getattr(index, key)]
        if other:
            raise UserError(f"{folder}: holds pairs made with another {' and '.join(other)}; give another folder")
    else:
        _dataset(lessons)  # what cannot be drawn from leaves no folder behind
        write_index(folder, index)


def teach(
    lessons: Lessons,
    teacher: RunningTeacher,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, todo: None,
) -> int:
    """Makes the pairs that a folder lacks; returns how many it made.

    Args:
        folder: from `open_folder`.
        progress: called with the pairs made and those to be made, which leave out what is there already.
    """
    dataset = _dataset(lessons)
    check_room(folder, lessons.count - len(list_pairs(folder)), lessons, teacher)  # before so many are looked for
    todo = [draw for draw in range(lessons.count) if not pair_path(folder, draw).exists()]
    check_room(folder, len(todo), lessons, teacher)
    done = 0
    for draws in (todo[i : i + BATCH] for i in range(0, len(todo), BATCH)):
        pairs = [_degrade(dataset, draw) for draw in draws]
        lesson = teacher(torch.cat([to_tensor(pair.lq) for pair in pairs]))
        for i, (draw, pair) in enumerate(zip(draws, pairs, strict=True)):
            kept = None if lesson.kept is None else lesson.kept[i].to(torch.float16).cpu().numpy()
            pair = pair._replace(taught=to_array(lesson.taught[i : i + 1]), kept=kept)
            write_pair(pair_path(folder, draw), pair if lessons.gt else pair._replace(gt=None))
        done += len(draws)
        progress(done, len(todo))
    return len(todo)


def check_room(folder: Path, count: int, lessons: Lessons, teacher: RunningTeacher) -> None:
    """Raises UserError where the disk has no room for so many more pairs."""
    free = shutil.disk_usage(folder).free
    need = count * bytes_per_pair(lessons, teacher.scale)
    if need > free:
        raise UserError(f"{folder}: {count} pairs take {need / 2**30:.1f} GiB, and the disk has {free / 2**30:.1f}")


def bytes_per_pair(lessons: Lessons, scale: int, channels: int = 64) -> int:
    """About the size of a file, for a trunk's map of so many channels."""
    pixels = lessons.lq_size**2 * (3 + 3 * scale**2 + 2 * channels * lessons.features)
    low, high = lessons.scale_range
    mean_square = (low * low + low * high + high * high) / 3  # of scales that are drawn uniformly
    gt = 3 * (lessons.lq_size + 4) ** 2 * mean_square if lessons.gt else 0
    return int(pixels + gt) + 4096


def _file_digest(pipeline: str | dict[str, Any]) -> str:
    path = Path(pipeline) if isinstance(pipeline, str) else None
    return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else ""


def _dataset(lessons: Lessons) -> SyntheticDataset:
    """The photos, and how they are degraded. UserError where they are too small."""
    return SyntheticDataset(
        lessons.photos,
        lessons.pipeline,
        lq_size=lessons.lq_size,
        sample_q=1,
        scale_range=lessons.scale_range,
        seed=lessons.seed,
        gt_usm=False,
    )


def _degrade(dataset: SyntheticDataset, draw: int) -> TaughtPair:
    """A pair before the teacher has seen it; its LR patch stands in for the result."""
    sample = dataset.draw(SampleIndex(draw, step=0))
    lq, _ = degradations.pair(sample.plan, sample.gt)
    top, left, n = sample.place[:3]
    (n_hr, m_hr), (n_lr, m_lr) = sample.gt.shape[:2], lq.shape[:2]
    rows, columns = PatchAxis(top, n, n_lr, n_hr).needed(), PatchAxis(left, n, m_lr, m_hr).needed()
    gt = np.ascontiguousarray(sample.gt[rows, columns])
    patch = np.ascontiguousarray(lq[top : top + n, left : left + n])
    corners = Corner(n_hr, n_lr, top, rows.start), Corner(m_hr, m_lr, left, columns.start)
    return TaughtPair(patch, patch, gt, None, *corners, sample.plan)
