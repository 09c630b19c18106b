"""Weights files and run states: what is written is read back, and what is damaged or foreign is refused in one line."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

import realciao
from realciao.errors import UserError
from realciao.weights.header import read_header
from realciao.weights.state import read_state_dict

SPEC = {
    "type": "CiaoSR",
    "encoder": {"type": "EDSREncoder", "num_feat": 4, "num_block": 1},
    "decoder": {"type": "CiaoSRDecoder", "hidden": [8], "non_local_scales": [2]},
    "res": False,
}


class Bomb:
    """Code that a pickle would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def net() -> Any:
    torch.manual_seed(0)
    return realciao.build_network(SPEC).eval()


def test_weights_come_back_with_their_network_and_their_notes(net: Any, tmp_path: Path) -> None:
    realciao.save_weights(net, tmp_path / "a.safetensors", step=7, scale_range=[1, 4])
    again = realciao.load_weights(tmp_path / "a.safetensors")
    lq = torch.rand(1, 3, 8, 9)
    assert torch.equal(again.upscale(lq, (19, 23)), net.upscale(lq, (19, 23)))
    assert not again.training
    header = read_header(tmp_path / "a.safetensors")
    assert header["step"] == 7
    assert header["spec"]["res"] is False
    with safetensors.safe_open(tmp_path / "a.safetensors", framework="pt") as file:  # any safetensors reader will do
        assert set(file.keys()) == set(net.state_dict())


def test_saving_over_weights_never_leaves_half_a_file(
    net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    realciao.save_weights(net, path, step=1)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"a\.safetensors: cannot be written \(No space"):
        realciao.save_weights(net, path, step=2)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a whole safetensors file"),
        (b"text, not weights", "not a whole safetensors file"),
        (safetensors.torch.save({"a": torch.zeros(2)}), "spandrel"),
        (safetensors.torch.save({"a": torch.zeros(2)}, {"realciao": "{"}), "without RealCiaoSR's header"),
        (safetensors.torch.save({"a": torch.zeros(2)}, {"realciao": json.dumps({"format": 99})}), "another version"),
    ],
)
def test_a_file_that_is_no_weights_file_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        realciao.load_weights(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_their_spec_are_refused_by_name(net: Any, tmp_path: Path) -> None:
    tensors = net.state_dict()
    name = "decoder.imnet_q.layers.0.weight"
    header = {"realciao": json.dumps({"format": 1, "spec": SPEC})}
    cases = {
        "they lack": {key: value for key, value in tensors.items() if key != name},
        "they hold": {**tensors, "decoder.extra": torch.zeros(1)},
        "the network needs": {**tensors, name: tensors[name][:1]},
    }
    for says, changed in cases.items():
        safetensors.torch.save_file({k: v.contiguous() for k, v in changed.items()}, tmp_path / "a.safetensors", header)
        with pytest.raises(UserError, match=says):
            realciao.load_weights(tmp_path / "a.safetensors")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such"):
        realciao.load_weights(tmp_path / "none.safetensors")


def test_weights_without_permission_are_one_line_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "a.safetensors").touch()
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=r"a\.safetensors: cannot be read \(Permission denied\)"):
        realciao.load_weights(tmp_path / "a.safetensors")


def test_truncated_weights_are_refused_wherever_they_break_off(net: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    realciao.save_weights(net, path)
    whole = path.read_bytes()
    for length in (1, 8, 50, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            realciao.load_weights(path)


def test_code_in_a_pickle_is_never_run(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    torch.save({"state_dict": Bomb(trap)}, tmp_path / "state.pt")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Bomb(trap)))
    for name in ("state.pt", "raw.pth"):
        with pytest.raises(UserError, match="more than tensors"):
            read_state_dict(tmp_path / name)
    assert not trap.exists()


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: {"params_ema": d}, lambda d: {"meta": {}, "state_dict": d}])
def test_foreign_checkpoints_are_read_in_their_layouts(tmp_path: Path, wrap: Any) -> None:
    torch.save(wrap({"w": torch.ones(2), "step": 3}), tmp_path / "a.pth")
    assert set(read_state_dict(tmp_path / "a.pth")) == {"w"}
