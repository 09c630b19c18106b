"""Our own networks."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from realciao.errors import UserError
from realciao.evaluation.grid.data_sets import Item, file_digest
from realciao.evaluation.grid.methods.method import METHOD_REGISTRY, Method, Picture
from realciao.upscaling.upscaler import Upscaler
from realciao.weights.checkpoint import is_teacher, load_weights
from realciao.weights.header import read_header
from realciao.weights.networks import build_network
from realciao.weights.shipped import NoWeightsError, find_weights, needed_files

CODE = ("archs", "weights", "images", "upscaling", "coords.py")
"""Whole rooms, so that no file is forgotten."""


@METHOD_REGISTRY.register()
class Weights(Method):
    """A network of this package, run by realciao.Upscaler.

    Args:
        path: a weights file, ours or a teacher's, or a name that `infer.py --list_models` lists.
        network: for costs alone: the spec of a network whose weights are not at hand; it gets random ones.
        tile_px: edge of a tile in LR pixels, 0 for none; null chooses by size.
        max_step: enlarge by so much at a time at most, in several steps.
    """

    def __init__(
        self,
        path: str | None = None,
        network: dict[str, Any] | None = None,
        tile_px: int | None = None,
        max_step: float | None = None,
    ) -> None:
        if path is None and network is None:
            raise ValueError("needs the path of a weights file, or a network to measure costs of")
        self.path = path
        self.network = network
        self.tile_px = tile_px
        self.max_step = max_step
        self.device = "auto"
        self._upscaler: Upscaler | None = None
        if path and not self.problem() and not is_teacher(path):
            notes = read_header(find_weights(path))
            self.remark = str(notes.get("remark", ""))

    @property
    def default_name(self) -> str:
        return Path(self.path).stem if self.path else "network"

    def problem(self) -> str:
        if self.path is None:
            return "no weights"
        try:
            needed_files(self.path)
        except NoWeightsError as error:
            return f"no weights: {error.problem}"
        except UserError as error:
            return f"no weights: {error}"
        return ""

    def identity(self, item: Item) -> str:
        assert self.path
        digests = " ".join(map(file_digest, needed_files(self.path)))
        return f"{digests} tile {self.tile_px} step {self.max_step} code {_code_digest()}"

    def to(self, device: str) -> None:
        self.device = device

    def upscale(self, item: Item, lq: Picture, size: tuple[int, int]) -> Picture:
        assert self.path
        if self._upscaler is None:
            self._upscaler = Upscaler.from_file(self.path, self.device, self.tile_px)
        return self._upscaler.upscale(lq, size=size, max_step=self.max_step)

    def build(self) -> Any:
        """The network for costs: with its weights, or random ones."""
        if self.path and not self.problem():
            return load_weights(self.path)
        if self.network is None:
            raise UserError(self.problem())
        return build_network(self.network)


@cache
def _code_digest() -> str:
    """Of the files that decide what a network computes, so that no score outlives a change of them."""
    root = Path(__file__).resolve().parents[3]
    digest = hashlib.sha256()
    for name in CODE:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
