"""The loop of `infer.py`: one image after the other, each reported, a bad one no reason to stop."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import Any

from realciao.commands.infer_journal import Journal
from realciao.commands.jobs import Job, refuse_existing
from realciao.commands.progress_line import ProgressLine
from realciao.errors import UserError, one_line
from realciao.images.reading import read_size
from realciao.machine.usage import peak_gib
from realciao.upscaling.photo_file import Task, upscale_file
from realciao.upscaling.sizes import SizeError
from realciao.upscaling.upscaler import Upscaler


def upscale_all(
    upscaler: Upscaler,
    jobs: Sequence[Job],
    task: Task,
    journal: Journal,
    folder: Path,
    *,
    overwrite: bool = False,
    as_json: bool = False,
    skipped: int = 0,
) -> int:
    """Upscales all; returns the exit status. What appeared meanwhile, as another run may leave it, is not replaced unasked."""
    sizes = [_wanted_pixels(job.source, task) for job in jobs]
    written, pixels, seconds = 0, 0, 0.0
    with closing(ProgressLine(sum(sizes) / 1e6, "Mpx")) as line:
        for number, (job, size, before) in enumerate(zip(jobs, sizes, accumulate(sizes, initial=0), strict=False)):
            name = f"{one_line(job.source.name)} ({number + 1} of {len(jobs)})"
            began = time.perf_counter()
            try:
                row = _upscale(
                    upscaler,
                    job,
                    task,
                    journal,
                    overwrite,
                    lambda share: line.show((before + size * share) / 1e6, name),  # noqa: B023
                )
                journal.add(job)
            except SizeError as error:
                if len(jobs) == 1 and not as_json:
                    raise  # it is the request that is wrong, not one image among many
                problem = f"{job.source}: {error}"
            except UserError as error:
                named = any(str(path) in str(error) for path in job)
                problem = str(error) if named else f"{job.source}: {error}"
                if "truncated" in problem.lower() and not task.allow_truncated:
                    problem += "; copy it anew, or take what there is with --allow_truncated"
            except MemoryError:
                problem = f"{job.source}: out of memory; close other programs, or give a smaller scale"
            else:
                written += 1
                pixels += row["output_size"][0] * row["output_size"][1]
                seconds += time.perf_counter() - began
                _tell(as_json, {**row, "seconds": round(time.perf_counter() - began, 3), "status": "done"})
                continue
            line.close()
            _tell(as_json, {"input": str(job.source), "output": None, "status": "failed", "error": problem})
            print(f"failed: {one_line(problem)}", file=sys.stderr, flush=True)
    parts = [f"{written} image{'s' * (written != 1)} written to {one_line(str(folder))}"]
    parts += [f"{seconds / pixels * 1e6:.2f} s per output megapixel"] if written else []
    parts += [f"{skipped} done before"] if skipped else []
    failed = f"; {len(jobs) - written} failed" if written < len(jobs) else ""
    print(f"{', '.join(parts)}{failed}", file=sys.stderr if as_json else sys.stdout)
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


def _upscale(
    upscaler: Upscaler, job: Job, task: Task, journal: Journal, overwrite: bool, show: Callable[[float], None]
) -> dict[str, Any]:
    """Makes one result, of which `show` is told the share that is done; returns what can be said of it."""

    def begin() -> None:
        if not (overwrite or journal.knows(job)):
            refuse_existing([job.target])
        journal.begin(job)

    done = upscale_file(upscaler, job.source, job.target, task, lambda made, wanted: show(made / wanted), begin)
    return {
        "input": str(job.source),
        "output": str(job.target),
        "input_size": list(done.input_size[::-1]),
        "output_size": list(done.output_size[::-1]),
        "peak_memory_mib": round(1024 * peak_gib(upscaler.device)),
        "device": str(upscaler.device),
        "warnings": list(done.warnings),
    }


def _tell(as_json: bool, row: dict[str, Any]) -> None:
    for note in row.get("warnings", ()):
        print(f"note: {one_line(row['input'])}: {note}", file=sys.stderr)
    if as_json:
        print(json.dumps(row), flush=True)
