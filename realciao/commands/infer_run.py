"""The loop of `infer.py`: one image after the other, each reported, a bad one no reason to stop."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from realciao.commands.infer_journal import Journal
from realciao.commands.jobs import Job
from realciao.commands.progress_line import ProgressLine
from realciao.errors import UserError, one_line
from realciao.image import read_photo, read_size
from realciao.inference import Upscaler
from realciao.measuring.usage import peak_gib
from realciao.photo_writer import Subsampling, check_writable, write_photo
from realciao.pixels import AnyImage
from realciao.sizes import Roi, SizeError, SizeRequest


class Task(NamedTuple):
    """What is done to every image."""

    size: SizeRequest
    roi: Roi | None
    max_step: float | None
    allow_truncated: bool
    quality: int
    subsampling: Subsampling
    json: bool


def upscale_all(
    upscaler: Upscaler, jobs: Sequence[Job], task: Task, journal: Journal, folder: Path, skipped: int = 0
) -> int:
    """Upscales all; returns the exit status."""
    sizes = [_wanted_pixels(job.source, task) for job in jobs]
    written, pixels, seconds = 0, 0, 0.0
    with closing(ProgressLine(sum(sizes) / 1e6, "Mpx")) as line:
        for number, (job, before) in enumerate(zip(jobs, accumulate(sizes, initial=0), strict=False)):
            name = f"{one_line(job.source.name)} ({number + 1} of {len(jobs)})"
            began = time.perf_counter()
            try:
                row = _upscale(upscaler, job, task, journal, lambda done: line.show((before + done) / 1e6, name))  # noqa: B023
                journal.add(job)
            except SizeError as error:
                if len(jobs) == 1 and not task.json:
                    raise  # it is the request that is wrong, not one image among many
                problem = f"{job.source}: {error}"
            except UserError as error:
                named = any(str(path) in str(error) for path in job)
                problem = str(error) if named else f"{job.source}: {error}"
            except MemoryError:
                problem = f"{job.source}: out of memory; close other programs, or give a smaller scale"
            else:
                written += 1
                pixels += row["output_size"][0] * row["output_size"][1]
                seconds += time.perf_counter() - began
                _tell(task, {**row, "seconds": round(time.perf_counter() - began, 3), "status": "done"})
                continue
            line.close()
            _tell(task, {"input": str(job.source), "output": None, "status": "failed", "error": problem})
            print(f"failed: {one_line(problem)}", file=sys.stderr, flush=True)
    parts = [f"{written} image{'s' * (written != 1)} written to {folder}"]
    parts += [f"{seconds / pixels * 1e6:.2f} s per output megapixel"] if written else []
    parts += [f"{skipped} done before"] if skipped else []
    failed = f"; {len(jobs) - written} failed" if written < len(jobs) else ""
    print(f"{', '.join(parts)}{failed}", file=sys.stderr if task.json else sys.stdout)
    return 0 if written == len(jobs) else 1


def _wanted_pixels(path: Path, task: Task) -> int:
    """For the progress; of a file that cannot be read, none."""
    try:
        size = read_size(path)
        height, width = task.size.resolve(size)
    except UserError:
        return 0
    y0, x0, y1, x1 = task.roi or (0, 0, *size)
    return int(height * width * max(0, y1 - y0) * max(0, x1 - x0) / (size[0] * size[1]))


def _upscale(upscaler: Upscaler, job: Job, task: Task, journal: Journal, show: Callable[[int], None]) -> dict[str, Any]:
    """Makes one result; returns what can be said of it."""
    photo = read_photo(job.source, allow_truncated=task.allow_truncated)
    size = task.size.resolve((photo.image.shape[0], photo.image.shape[1]))
    bands = upscaler.upscale_bands(
        photo.image, size=size, roi=task.roi, max_step=task.max_step, progress=lambda done, _: show(done)
    )
    check_writable(job.target, bands.shape)
    metadata = photo.metadata.for_size((bands.shape[0], bands.shape[1]))
    journal.begin(job)
    write_photo(job.target, bands, metadata, quality=task.quality, subsampling=task.subsampling)
    notes = [*photo.warnings, *_losses(photo.image, job.target)]
    return {
        "input": str(job.source),
        "output": str(job.target),
        "input_size": [photo.image.shape[1], photo.image.shape[0]],
        "output_size": [bands.shape[1], bands.shape[0]],
        "peak_memory_mib": round(1024 * peak_gib(upscaler.device)),
        "device": str(upscaler.device),
        "warnings": notes,
    }


def _losses(image: AnyImage, target: Path) -> Iterator[str]:
    """What of the photo the result does not hold."""
    ending = target.suffix.lower()
    if image.ndim == 3 and image.shape[2] in (2, 4) and ending in (".jpg", ".jpeg", ".bmp"):
        yield f"{ending} holds no transparency"
    deep = {"uint16": (".png", ".tif", ".tiff"), "float32": (".tif", ".tiff")}
    if image.dtype != "uint8" and ending not in deep[str(image.dtype)]:
        yield f"{ending} does not hold {image.dtype}: written with fewer levels"
    if image.dtype == "float32" and not 0 <= image.min() <= image.max() <= 1:
        yield f"values from {image.min():.3g} to {image.max():.3g} are cut off at 0 and 1"


def _tell(task: Task, row: dict[str, Any]) -> None:
    for note in row.get("warnings", ()):
        print(f"note: {one_line(row['input'])}: {note}", file=sys.stderr)
    if task.json:
        print(json.dumps(row), flush=True)
