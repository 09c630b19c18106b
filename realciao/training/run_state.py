"""The saved states of a run: `checkpoints/step_N/`, each whole, with a checksum, and which of them are kept.

A folder holds `state.pt` (nested dicts of tensors and plain values) and `about.json`, which says what wrote it, its checksum,
and whether the run was well.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from realciao.errors import UserError
from realciao.files import atomic_folder, remove_folder

VERSION = 2
"""Of the state's content; a program reads its own version alone."""


def save_state(state: dict[str, Any], folder: Path, *, healthy: bool = True) -> None:
    """Writes a state as a folder, whole or not at all.

    Raises:
        UserError: the disk will not have it.
        RuntimeError: likewise, in torch's words.
    """
    with atomic_folder(folder) as temporary:
        torch.save(state, temporary / "state.pt")
        about = {"version": VERSION, "sha256": _sha256(temporary / "state.pt"), "healthy": healthy}
        (temporary / "about.json").write_text(json.dumps(about), encoding="utf-8")


def load_state(folder: Path) -> dict[str, Any]:
    """Reads what `save_state` wrote, onto the CPU, after its checksum. Only tensors and plain values are ever unpickled.

    Raises:
        UserError: it is not there, damaged, or of another version.
    """
    path = folder / "state.pt"
    about = _about(folder)
    if about.get("version") != VERSION:
        raise UserError(f"{folder}: version {about.get('version')} of a checkpoint; this program reads {VERSION}")
    try:
        if _sha256(path) != about.get("sha256"):
            raise UserError(f"{path}: damaged checkpoint (its checksum is another)")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError(f"it holds a {type(state).__name__}")
        return state
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such checkpoint") from error
    except Exception as error:  # torch raises whatever the damage leads to: EOFError, UnpicklingError, ...
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: damaged checkpoint ({reason})") from error


def saved_states(checkpoints: Path) -> dict[int, Path]:
    """The folders `step_N` by N, the newest first; whether they can be read is not looked at."""
    named = ((re.fullmatch(r"step_(\d+)", folder.name), folder) for folder in checkpoints.glob("step_*"))
    folders = {int(match[1]): folder for match, folder in named if match}
    return dict(sorted(folders.items(), reverse=True))


def is_healthy(folder: Path) -> bool:
    """Whether the run was well when it saved this; False for what cannot be read."""
    try:
        return _about(folder).get("healthy") is True
    except UserError:
        return False


def superfluous(
    checkpoints: Path, *, keep_last: int | None, keep_every: int | None, others: Iterable[int] = ()
) -> list[int]:
    """Steps of the states that nothing asks to keep.

    Kept are the newest `keep_last` (None keeps all), each whose step is a multiple of `keep_every`, the `others`, and
    always the newest healthy one.
    """
    if keep_last is None:
        return []
    states = saved_states(checkpoints)
    kept = {*list(states)[:keep_last], *others}
    kept |= {next((step for step, folder in states.items() if is_healthy(folder)), -1)}
    kept |= {step for step in states if keep_every and step % keep_every == 0}
    return [step for step in states if step not in kept]


def set_aside(checkpoints: Path) -> tuple[Path | None, list[Path]]:
    """Renames the states after the newest healthy one to `step_N_ill`, so that a run goes on from the healthy one.

    Returns:
        The healthy one, None if there is none (nothing is renamed then), and the new names.
    """
    ill: list[Path] = []
    for folder in saved_states(checkpoints).values():
        if is_healthy(folder):
            aside = [path.with_name(f"{path.name}_ill") for path in ill]
            for old, new in zip(ill, aside, strict=True):
                if new.exists():
                    remove_folder(new)
                old.rename(new)
            return folder, aside
        ill.append(folder)
    return None, []


def _about(folder: Path) -> dict[str, Any]:
    path = folder / "about.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: is missing, so this is no whole checkpoint") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged checkpoint (not JSON)") from error
    if not isinstance(about, dict):
        raise UserError(f"{path}: damaged checkpoint (not a mapping)")
    return about


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
