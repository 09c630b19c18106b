"""What the trainer spends beside the training itself: its CPU time against a plain loop's, on the same batches.

The plain loop has no average, no checks, no log and no accumulation. The trainer's steps have all of these, with two log lines
and two looks at the preview in a round. What comes before the first step and after the last one (building, validating,
saving) is no part of a step, and is not counted.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from realciao.benchmarks.instruments.report import Table

NETWORKS = {
    "narrow": {
        "type": "CiaoSR",
        "encoder": {"type": "EDSREncoder", "num_feat": 16, "num_block": 6},
        "decoder": {"type": "CiaoSRDecoder", "hidden": [32, 32, 32], "non_local_scales": []},
    },
    "baseline": {
        "type": "CiaoSR",
        "encoder": {"type": "EDSREncoder"},
        "decoder": {"type": "CiaoSRDecoder", "non_local_scales": []},
    },
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--network", choices=sorted(NETWORKS), default="narrow", help="(default narrow: the quickstart's)"
    )
    parser.add_argument("--batch", type=int, default=16, help="(default 16)")
    parser.add_argument("--lq_size", type=int, default=32, help="edge of an LR patch (default 32)")
    parser.add_argument("--points", type=int, default=256, help="queried pixels of a sample (default 256)")
    parser.add_argument("--steps", type=int, default=100, help="of a round (default 100)")
    parser.add_argument("--rounds", type=int, default=7, help="in which both ways have a turn (default 7)")


def run(args: argparse.Namespace, done: Callable[[float, str], None]) -> Iterator[Table]:
    """The table."""
    import os

    import torch

    from realciao.benchmarks.instruments.rounds import interleave, median_ratio

    torch.set_num_threads(1)  # CPU time of threads that wait for each other is nobody's work
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # or the trainer would take more, and leave them to the plain loop
    with tempfile.TemporaryDirectory() as folder:
        ways = {"plain": lambda: _plain(args), "trainer": lambda: _trainer(args, Path(folder))}
        turns = iter(range(1, 2 * args.rounds + 1))
        spent = interleave(ways, args.rounds, lambda name: done(next(turns) / (2 * args.rounds), name))
    rows = []
    for name, seconds in spent.items():
        ratios = [a / b for a, b in zip(seconds, spent["plain"], strict=True)]
        rows.append(
            {
                "loop": name,
                "ms CPU a step": 1000 * statistics.median(seconds) / args.steps,
                "of the plain loop's": round(median_ratio(seconds, spent["plain"]), 4),
                "lowest": round(min(ratios), 4),
                "highest": round(max(ratios), 4),
            }
        )
    note = f"Medians of {args.rounds} rounds of {args.steps} steps each, one thread; ratios are of turns of one round."
    yield Table("train", "CPU time of a training step", rows, note)


def _plain(args: argparse.Namespace) -> float:
    """CPU seconds of the loop that anyone would write."""
    import torch
    from torch.nn.functional import l1_loss

    from realciao.archs import build_network

    torch.manual_seed(0)
    net: Any = build_network(NETWORKS[args.network])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    batch = _batch(args)
    start = time.process_time()
    for _ in range(args.steps):
        loss = l1_loss(net(batch["lq"], batch["coord"], batch["cell"]), batch["gt"])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - start


def _trainer(args: argparse.Namespace, folder: Path) -> float:
    """CPU seconds of the trainer's steps."""
    import contextlib
    import os

    from realciao.options.run import load_options
    from realciao.training import trainer

    batch = _batch(args)
    clock: list[float] = []

    def same_batch(*_: Any, num_steps: int, **__: Any) -> Iterator[Any]:
        for step in range(num_steps):
            if step in (0, args.steps):
                clock.append(time.process_time())
            yield batch

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        run = trainer.Trainer(load_options([_options(args, folder)]), overwrite=True)
        loader = trainer.build_train_loader
        trainer.build_train_loader = same_batch  # pyright: ignore[reportAttributeAccessIssue]
        try:
            run.fit()
            return clock[1] - clock[0]
        finally:
            trainer.build_train_loader = loader


def _options(args: argparse.Namespace, folder: Path) -> Path:
    import yaml

    data = {"type": "SyntheticDataset", "dataroot_gt": "builtin", "pipeline": "bicubic", "num_workers": 0}
    data |= {"batch_size": args.batch, "lq_size": args.lq_size, "sample_q": args.points}
    stage = {"name": "train", "total_iter": args.steps + 1, "optim_g": {"type": "Adam", "lr": 1e-4}}
    stage |= {"pixel_opt": {"type": "L1Loss"}, "ema_decay": 0.999}
    options = {"name": "overhead", "datasets": {"train": data}, "network_g": NETWORKS[args.network], "stages": [stage]}
    options |= {"path": {"experiments_root": str(folder)}, "logger": {"print_every": -(-args.steps // 2)}}
    path = folder / "overhead.yml"
    path.write_text(yaml.safe_dump(options), encoding="utf-8")
    return path


def _batch(args: argparse.Namespace) -> dict[str, Any]:
    """Random images, and points at random places."""
    import torch

    generator = torch.Generator().manual_seed(0)
    batch, lq, points = args.batch, args.lq_size, args.points
    return {
        "lq": torch.rand(batch, 3, lq, lq, generator=generator),
        "coord": 2 * torch.rand(batch, 1, points, 2, generator=generator) - 1,
        "cell": torch.full((batch, 2), 2 / (3.0 * lq)),
        "gt": torch.rand(batch, 3, 1, points, generator=generator),
    }
