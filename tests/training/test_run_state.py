"""The states of a run: they come back as they were, or are refused."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from realciao.errors import UserError
from realciao.training.run_state import load_state, save_state, saved_states

STATE = {"step": 100, "net": {"w": torch.arange(3.0)}, "skipped": [1, 2]}


def test_a_state_comes_back_and_the_newest_comes_first(tmp_path: Path) -> None:
    assert saved_states(tmp_path) == {}
    for step in (9, 100, 10):
        save_state({**STATE, "step": step}, tmp_path / f"step_{step}")
    assert list(saved_states(tmp_path)) == [100, 10, 9]
    state = load_state(saved_states(tmp_path)[100])
    assert (state["step"], state["skipped"]) == (100, [1, 2])
    assert torch.equal(state["net"]["w"], STATE["net"]["w"])
    about = json.loads((tmp_path / "step_9" / "about.json").read_text())
    assert about["sha256"] == hashlib.sha256((tmp_path / "step_9" / "state.pt").read_bytes()).hexdigest()


def test_any_flipped_bit_and_any_lost_end_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "step_1"
    save_state(STATE, folder)
    whole = (folder / "state.pt").read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        changed = bytearray(whole)
        changed[place] ^= 0b100
        for damaged in (bytes(changed), whole[:place]):
            (folder / "state.pt").write_bytes(damaged)
            with pytest.raises(UserError, match="damaged checkpoint") as caught:
                load_state(folder)
            assert "\n" not in str(caught.value)
    (folder / "state.pt").write_bytes(whole)
    assert load_state(folder)["step"] == 100
    about = (folder / "about.json").read_bytes()
    for end in range(len(about)):
        (folder / "about.json").write_bytes(about[:end])
        with pytest.raises(UserError):
            load_state(folder)


@pytest.mark.parametrize("missing", ["state.pt", "about.json"])
def test_half_a_checkpoint_is_refused(tmp_path: Path, missing: str) -> None:
    save_state(STATE, tmp_path / "step_1")
    (tmp_path / "step_1" / missing).unlink()
    with pytest.raises(UserError, match=r"missing|no such"):
        load_state(tmp_path / "step_1")


def test_another_version_is_refused_by_its_number(tmp_path: Path) -> None:
    save_state(STATE, tmp_path / "step_1")
    about = tmp_path / "step_1" / "about.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"version": 99}))
    with pytest.raises(UserError, match="version 99"):
        load_state(tmp_path / "step_1")


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, trap: Path) -> None:
        self.trap = trap

    def __reduce__(self) -> Any:
        return Path.touch, (self.trap,)


def test_code_in_a_state_is_never_run(tmp_path: Path) -> None:
    folder = tmp_path / "step_1"
    save_state(STATE, folder)
    (folder / "state.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    checksum = hashlib.sha256((folder / "state.pt").read_bytes()).hexdigest()
    about = json.loads((folder / "about.json").read_text()) | {"sha256": checksum}
    (folder / "about.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match="damaged checkpoint"):
        load_state(folder)
    assert not (tmp_path / "ran").exists()


def test_a_disk_that_is_full_leaves_the_state_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    folder = tmp_path / "step_1"
    save_state(STATE, folder)
    for call in ("fsync", "rename"):  # each fails at its first use
        with monkeypatch.context() as patch:
            patch.setattr(f"os.{call}", full)
            with pytest.raises(UserError, match="No space left"):
                save_state({"step": 2}, folder)
        assert load_state(folder)["step"] == 100
        assert [path.name for path in tmp_path.iterdir()] == ["step_1"]
