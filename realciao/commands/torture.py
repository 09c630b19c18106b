"""Kills a run with SIGKILL at random moments, resumes it each time, and compares what it ends with: `scripts/torture.py`."""

import argparse
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from realciao.cli import Parser, command

POLL_S = 0.0005


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="torture.py",
        description="Train the options once undisturbed, and again under SIGKILL at random moments, half of them while "
        "something is being saved; resume after each, and compare all weights bit for bit. Needs fork.",
    )
    parser.add_argument("-opt", "--opt", nargs="+", required=True, metavar="YML", help="option file(s) of a short run")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="as for train.py")
    parser.add_argument("--kills", type=int, default=50, metavar="N", help="(default 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from realciao.errors import UserError
    from realciao.options.run import load_options

    options = load_options(args.opt, args.set)
    if not hasattr(os, "fork"):
        raise UserError("torture.py needs a system with fork")
    from realciao.training.trainer import Trainer  # once, and not in each child

    root = Path(options.path.experiments_root)
    names = {kind: f"{options.name}_{kind}" for kind in ("whole", "killed")}

    def start(kind: str, **flags: bool) -> int:
        named = load_options(args.opt, [*args.set, f"name={names[kind]}"])
        return _start(lambda: Trainer(named, **flags).fit(), root / f"{names[kind]}.txt")

    rng = random.Random(args.seed)
    began = time.monotonic()
    if status := _wait(start("whole", overwrite=True)):
        raise UserError(f"the undisturbed run ended with status {status}; see {root / names['whole']}.txt")
    usual_s = time.monotonic() - began
    kills, saving, runs = 0, 0, 0
    while kills < args.kills:
        flag = "overwrite"
        while True:
            child = start("killed", **{flag: True})
            at_save = kills < args.kills and rng.random() < 0.5
            hit, in_save = kills < args.kills and _kill(child, root / names["killed"], at_save, rng, usual_s), at_save
            status = _wait(child)
            flag = "auto_resume"
            if hit and status == -signal.SIGKILL:
                kills, saving = kills + 1, saving + in_save
                print(f"kill {kills}{' while saving' if in_save else ''}", flush=True)
            elif status:
                raise UserError(f"the resumed run ended with status {status}; see {root / names['killed']}.txt")
            else:
                break
        runs += 1
        if different := _differences(root / names["whole"], root / names["killed"]):
            raise UserError(f"after {kills} kills these differ: {', '.join(different)}")
    print(f"{kills} kills, {saving} of them while saving, in {runs} runs: all weights are the same bit for bit")
    return 0


def _start(train: Callable[[], None], log: Path) -> int:
    """A process that trains, and writes what it says to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        train()
        status = 0
    except BaseException:  # the child must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _kill(child: int, run: Path, at_save: bool, rng: random.Random, usual_s: float) -> bool:
    """Kills the process after a while, or while it saves; False if it ended before."""
    moment = time.monotonic() + rng.uniform(0, usual_s)
    patience = rng.randrange(12)  # saves that go well before
    seen: set[str] = set()
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if at_save:
            seen |= {path.name for folder in ("checkpoints", "models") for path in (run / folder).glob(".*.tmp*")}
        if len(seen) > patience if at_save else time.monotonic() >= moment:
            os.kill(child, signal.SIGKILL)
            return True
        time.sleep(POLL_S)
    return False


def _differences(one: Path, other: Path) -> list[str]:
    """Names of weights that are not the same in two runs."""
    import torch

    from realciao.weights.state import read_state_dict

    files = {path.name for run in (one, other) for path in (run / "models").glob("*.safetensors")}
    different = []
    for name in sorted(files):
        pair = [run / "models" / name for run in (one, other)]
        if not all(path.is_file() for path in pair):
            different.append(f"{name} (in one run alone)")
            continue
        ours, theirs = map(read_state_dict, pair)
        same = ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
        different += [] if same else [name]
    return different
