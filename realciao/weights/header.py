"""Reads the header of a weights file of ours, without importing torch."""

import json
from pathlib import Path
from typing import Any

import safetensors

from realciao.errors import UserError

HEADER = "realciao"
FORMAT = 1


def is_ours(path: str | Path) -> bool:
    """Whether a .safetensors is ours; so counts a file that is damaged, of which `read_header` tells."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return HEADER in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return True


def read_header(path: str | Path) -> dict[str, Any]:
    """What a weights file says of itself: `spec`, and the notes it was saved with.

    Raises:
        UserError: no such file, not safetensors, damaged, or without our header.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    try:
        path.open("rb").close()
    except OSError as error:  # for which safetensors has other words
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        header = json.loads(metadata[HEADER])
    except (safetensors.SafetensorError, OSError) as error:
        convert = "a released CiaoSR .pth is converted by `python scripts/convert_weights.py IN OUT.safetensors`"
        cure = "copy it anew" if path.suffix == ".safetensors" else convert
        raise UserError(f"{path}: not a whole safetensors file ({error}); {cure}") from error
    except (KeyError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(
            f"{path}: safetensors without RealCiaoSR's header, so its network is unknown; "
            "a released CiaoSR is converted by `python scripts/convert_weights.py IN OUT.safetensors`"
        ) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT or "spec" not in header:
        raise UserError(f"{path}: written by another version of RealCiaoSR (this one reads format {FORMAT})")
    return header
