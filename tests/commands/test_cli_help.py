"""`--help` of every command: it works from anywhere, and is quick because nothing heavy is imported for it."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [ROOT / "realciao" / "train.py", *sorted((ROOT / "scripts").glob("*.py"))]
HEAVY = {"torch", "torchvision", "numpy", "scipy", "cv2", "PIL", "skimage", "basicsr", "accelerate", "pyiqa", "onnx"}


def help_of(*arguments: str, cwd: Path) -> tuple[str, set[str]]:
    """What a command prints for --help, and the top-level modules that it imported."""
    command = [sys.executable, "-X", "importtime", *arguments, "--help"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return done.stdout, {line.rpartition("|")[2].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: path.name)
def test_help_is_printed_without_importing_anything_heavy(command: Path, tmp_path: Path) -> None:
    text, modules = help_of(str(command), cwd=tmp_path)
    assert text.startswith(f"usage: {command.name}")
    assert not modules & HEAVY


def test_train_runs_as_a_module_too() -> None:
    text, modules = help_of("-m", "realciao.train", cwd=ROOT)
    assert text.startswith("usage: train.py")
    assert not modules & HEAVY


def test_a_wrong_argument_is_refused_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", sys.path[:])
    for command in COMMANDS:
        monkeypatch.setattr(sys, "argv", [str(command), "--no_such"])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(command), run_name="__main__")
        assert ended.value.code == 2, command
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
