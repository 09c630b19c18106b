"""Runs that are killed by SIGKILL, while they save above all, and what they are resumed from."""

import itertools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import write_options

from realciao.commands.torture import main
from realciao.options.run import load_options
from realciao.training.run_state import load_state
from realciao.training.trainer import Trainer
from realciao.weights.state import read_state_dict

OPERATIONS = ("os.fsync", "os.rename", "os.replace", "os.unlink", "shutil.rmtree", "torch.save")

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or torch.cuda.is_available(), reason="wants to fork, which autograd forbids beside CUDA"
)


@pytest.fixture(autouse=True)
def forkable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, as those of a parent are not there in its child; and no rehearsal, which tests of its own have."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("realciao.training.trainer.rehearse", lambda *_: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class DoneError(Exception):
    """All is seen."""


def die_at(count: int, patch: pytest.MonkeyPatch) -> None:
    """Kills this process at its `count`-th operation on files; where that writes a file, half of it is there."""
    numbers = itertools.count(1)

    def dying(name: str, original: Any) -> Any:
        def operate(*arguments: Any, **more: Any) -> Any:
            last = next(numbers) == count
            if last and name == "torch.save":
                original(*arguments, **more)
                os.truncate(arguments[1], os.path.getsize(arguments[1]) // 2)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **more)

        return operate

    for name in OPERATIONS:
        module, _, function = name.partition(".")
        patch.setattr(name, dying(name, getattr({"os": os, "shutil": shutil, "torch": torch}[module], function)))


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


def test_a_save_killed_between_its_operations_on_files_leaves_the_state_before_it_or_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Trainer._save
    outcomes: list[int] = []

    def attempts(self: Trainer, stage_run: Any) -> None:
        """Saves in children that die, each a little later, until one does not."""
        if self.step == 1:
            return save(self, stage_run)
        whole, before = stage_run.state_dict(), load_state(self.run.checkpoints / "step_1")
        shutil.copytree(self.run.root, tmp_path / "before")
        for count in itertools.count(1, 2):
            child = os.fork()
            if not child:
                try:
                    die_at(count, monkeypatch)
                    save(self, stage_run)
                    os._exit(0)
                finally:  # the child must not go on as its parent
                    os._exit(1)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            newest = self.run.newest_checkpoint()
            assert newest is not None
            state = load_state(newest)
            assert same(state["stage"], whole if state["step"] == 2 else before["stage"])
            for file in self.run.models.glob("net_g_*.safetensors"):
                assert read_state_dict(file)
            outcomes.append(state["step"])
            if status == 0:
                raise DoneError
            assert status == -signal.SIGKILL
            shutil.rmtree(self.run.root)
            shutil.copytree(tmp_path / "before", self.run.root)

    monkeypatch.setattr(Trainer, "_save", attempts)
    options = load_options(
        [write_options(tmp_path)], ["logger={save_every: 1, keep_last: 1, trackers: []}", "datasets.val=[]"]
    )
    with pytest.raises(DoneError):
        Trainer(options).fit()
    # the state counts from its renaming on, which is neither the first operation nor the last
    assert outcomes == sorted(outcomes)
    assert outcomes.count(1) >= 5
    assert outcomes.count(2) >= 2


def test_a_run_killed_at_random_and_while_it_saves_ends_with_the_same_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = [
        "logger={save_every: 1, trackers: []}",
        "stages.0.total_iter=2",
        "stages.1.total_iter=2",
        "datasets.val=[]",
    ]
    with pytest.raises(SystemExit) as ended:
        main(["-opt", str(write_options(tmp_path)), "--kills", "2", "--set", *short])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    assert "2 kills, " in said.out
    assert "all weights are the same bit for bit" in said.out
