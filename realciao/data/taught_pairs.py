"""Files of taught pairs: LR patches, a teacher's result for each, and how they were made.

A folder holds `taught.json`, which says how it was made, and one safetensors file per draw, `PART/DRAW.safetensors`:
`lq` (h w 3), `taught` (sh sw 3) and, where the originals are kept, `gt` (the HR pixels under the patch), as uint8, or float32
where 8 bits would not hold the values; where features are kept, `kept` (c h w) in float16. Its header holds the plan of the
degradation, the places of the patch and of the HR pixels, and a checksum.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Float, Shaped

from realciao.errors import UserError
from realciao.files import atomic_write
from realciao.images.reading import ImageError

INDEX = "taught.json"
FORMAT = 1
FILES_PER_FOLDER = 1000


class TaughtIndex(msgspec.Struct, frozen=True, kw_only=True):
    """`taught.json`: how the pairs of a folder are made."""

    format: int = FORMAT
    teacher: dict[str, str]
    """Its name, SHA-256 and licence."""
    teacher_scale: int
    dtype: str
    """Of the teacher's computation."""
    pipeline: str | dict[str, Any]
    pipeline_sha256: str = ""
    """Of the recipe's file, where it is one of the user's; "" for a recipe of the package."""
    photos: int
    photos_sha256: str
    """Of their names and sizes, in their order."""
    seed: int
    lq_size: int
    scale_range: tuple[float, float]
    """Of the degradations."""
    gt: bool
    """Whether the originals are kept."""
    kept: str | None = None
    """Which map of the teacher's is kept: "trunk"; None for none."""


class Corner(NamedTuple):
    """One axis of a pair: where its patch lies, and the HR pixels that are kept."""

    n_hr: int
    n_lr: int
    start: int
    """First LR pixel of the patch, in an LR crop of `n_lr` that shows what an HR crop of `n_hr` shows."""
    gt_start: int
    """First HR pixel that is kept."""


class TaughtPair(NamedTuple):
    """One file."""

    lq: Float[np.ndarray, "h w 3"]
    taught: Float[np.ndarray, "sh sw 3"]
    gt: Float[np.ndarray, "hh ww 3"] | None
    kept: Shaped[np.ndarray, "c kh kw"] | None
    rows: Corner
    columns: Corner
    plan: dict[str, Any]


def read_index(folder: str | Path) -> TaughtIndex:
    """What `taught.json` says. UserError where it is missing, damaged, or of another version."""
    path = Path(folder) / INDEX
    make = "make pairs with `python scripts/prepare_data.py teach`"
    if not path.is_file():
        raise UserError(f"{folder}: holds no taught pairs (no {INDEX}); {make}")
    try:
        index = msgspec.json.decode(path.read_bytes(), type=TaughtIndex)
    except (msgspec.DecodeError, OSError) as error:
        raise UserError(f"{path}: is damaged ({error}); {make} anew") from error
    if index.format != FORMAT:
        raise UserError(f"{path}: of format {index.format}, this version reads {FORMAT}; {make} anew")
    return index


def write_index(folder: Path, index: TaughtIndex) -> None:
    """Writes `taught.json`."""
    atomic_write(folder / INDEX, msgspec.json.format(msgspec.json.encode(index), indent=1).decode() + "\n")


def pair_path(folder: Path, draw: int) -> Path:
    """The file of a draw."""
    return folder / f"{draw // FILES_PER_FOLDER:03d}" / f"{draw:06d}.safetensors"


def list_pairs(folder: Path) -> list[Path]:
    """The files of a folder, by draw."""
    return sorted(folder.glob("[0-9]*/[0-9]*.safetensors"))


def write_pair(path: Path, pair: TaughtPair) -> None:
    """Writes a file, whole or not at all."""
    tensors = {"lq": _to_stored(pair.lq), "taught": _to_stored(pair.taught)}
    if pair.gt is not None:
        tensors["gt"] = _to_stored(pair.gt)
    if pair.kept is not None:
        tensors["kept"] = np.ascontiguousarray(pair.kept, np.float16)
    header = {
        "rows": pair.rows,
        "columns": pair.columns,
        "plan": pair.plan,
        "sha256": _checksum(tensors),
    }
    atomic_write(path, safetensors.numpy.save(tensors, {"pair": json.dumps(header)}))


def read_pair(path: Path) -> TaughtPair:
    """Reads a file.

    Raises:
        ImageError: it is missing, damaged, or not such a file.
    """
    again = "remove it, and make it again with the same `prepare_data.py teach` command"
    try:
        with safetensors.safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {})["pair"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        checksum = header["sha256"]
        pair = TaughtPair(
            _from_stored(tensors["lq"]),
            _from_stored(tensors["taught"]),
            _from_stored(tensors["gt"]) if "gt" in tensors else None,
            tensors.get("kept"),
            Corner(*header["rows"]),
            Corner(*header["columns"]),
            header["plan"],
        )
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ImageError(path, f"cannot be read; {again}") from error
    if _checksum(tensors) != checksum:
        raise ImageError(path, f"its content has changed; {again}")
    return pair


def _to_stored(image: Float[np.ndarray, "h w 3"]) -> Shaped[np.ndarray, "h w 3"]:
    """As uint8 where that holds exactly these values, as it does after most degradations."""
    image = np.ascontiguousarray(image, np.float32)  # safetensors writes memory as it lies
    small = np.rint(image * 255).astype(np.uint8)
    same = np.array_equal(_from_stored(small), image) and image.min(initial=0) >= 0 and image.max(initial=0) <= 1
    return small if same else image


def _from_stored(image: Shaped[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    return image.astype(np.float32) / np.float32(255) if image.dtype == np.uint8 else image


def _checksum(tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()
