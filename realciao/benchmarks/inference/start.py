"""Where the seconds of one small photo go, from the start of Python to the written file."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from realciao.benchmarks.inference.ways import make_net, make_photo, seconds_name
from realciao.benchmarks.instruments.report import Figure, Table
from realciao.errors import UserError
from realciao.images.reading import write_image
from realciao.machine.description import REPOSITORY
from realciao.weights.checkpoint import save_weights

SECONDS_A_START = 8
SCALE = 2
STEPS = ("Python", "import torch", "import ours", "load the weights", "read the photo", "upscale", "write")
CHILD = """
import json, sys, time
which, weights, source, target, scale, device = sys.argv[1:]
clock = time.process_time if which == "cpu" else time.perf_counter
marks = [0.0 if which == "cpu" else clock(), clock()]
import torch
marks.append(clock())
from realciao.commands import infer, infer_run
from realciao.upscaling.upscaler import Upscaler
from realciao.images.reading import read_photo
from realciao.images.writing import Bands, write_photo
marks.append(clock())
upscaler = Upscaler.from_file(weights, device)
marks.append(clock())
photo = read_photo(source)
marks.append(clock())
image = upscaler.upscale(photo.image, float(scale))
marks.append(clock())
write_photo(target, Bands(image.shape, image.dtype, iter([image])), photo.metadata.for_size(image.shape[:2]))
marks.append(clock())
print(json.dumps([after - before for before, after in zip(marks, marks[1:])]))
"""
"""What `infer.py` does, with a look at the clock in between."""


def cost(args: argparse.Namespace) -> float:
    """In seconds, roughly."""
    return SECONDS_A_START * args.rounds


def tables(args: argparse.Namespace, done: Callable[[float, str], None]) -> Iterator[Table]:
    """Seconds of each step, in processes of their own."""
    spent: list[list[float]] = []
    with tempfile.TemporaryDirectory() as folder:
        weights, source, target = (Path(folder, name) for name in ("net.safetensors", "photo.png", "result.png"))
        save_weights(make_net(args), weights)
        write_image(source, make_photo(args.size, args.size))
        which = "cpu" if args.threads == 1 and args.device == "cpu" else "wall"
        command = [sys.executable, "-c", CHILD, which, weights, source, target, str(SCALE), args.device]
        for _ in range(args.rounds):
            spent.append(_run(command, args.threads))
            done(SECONDS_A_START, "cold start")
    rows: list[dict[str, Figure]] = []
    total = statistics.median(sum(steps) for steps in spent)
    for name, seconds in zip(STEPS, zip(*spent, strict=True), strict=True):
        median = statistics.median(seconds)
        rows.append({"step": name, seconds_name(args): median, "share, %": 100 * median / total})
    rows.append({"step": "all", seconds_name(args): total, "share, %": 100.0})
    torch, upscale = STEPS.index("import torch"), STEPS.index("upscale")
    ratio = statistics.median(sum(steps) / (steps[torch] + steps[upscale]) for steps in spent)
    note = f"All against importing torch and upscaling alone: {ratio:.2f}; to be reached: below 1.3."
    yield Table("start", f"A {args.size}x{args.size} photo at x{SCALE}, from a cold start", rows, note)


def _run(command: list[str | Path], threads: int) -> list[float]:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"a cold start failed ({(done.stderr.strip() or 'no reason given').splitlines()[-1]})")
    return json.loads(done.stdout)
