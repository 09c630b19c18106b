"""Reads weights of convolutional networks from files of ncnn, the inference library, without that library.

A `.param` file is text: a magic number, counts, then one layer per line (type, name, inputs, outputs, `key=value`s). A `.bin`
file holds the numbers of all layers in the order of those lines.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from realciao.errors import UserError

MAGIC = "7767517"
HALF = 0x01306B47
"""The tag before weights in float16; 0 stands before float32."""
WITHOUT_NUMBERS = frozenset(
    ("Input", "Split", "Concat", "BinaryOp", "Eltwise", "Interp", "PixelShuffle", "ReLU", "Sigmoid", "Crop")
)


class Layer(NamedTuple):
    """A layer that holds numbers."""

    kind: str
    """ncnn's type: "Convolution" or "PReLU"."""
    weight: Tensor
    """A convolution's, out x in x k x k; a PReLU's slopes."""
    bias: Tensor | None = None


def read_ncnn(param: Path, numbers: Path) -> list[Layer]:
    """The layers that hold numbers, in the order of the file, as float32.

    Args:
        param: the `.param` file.
        numbers: the `.bin` file.

    Raises:
        UserError: not such files, a layer of another kind, or more or fewer numbers than the layers need.
    """
    lines = param.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines or lines[0].strip() != MAGIC:
        raise UserError(f"{param}: not a .param file of ncnn")
    reader = _Reader(numbers)
    layers = [layer for line in lines[2:] if line.strip() for layer in _read_layer(param, line, reader)]
    reader.check_end()
    return layers


def _read_layer(param: Path, line: str, reader: "_Reader") -> Iterator[Layer]:
    words = line.split()
    try:
        kind, n_in, n_out = words[0], int(words[2]), int(words[3])
        keys = dict(word.split("=", 1) for word in words[4 + n_in + n_out :])
        if kind == "Convolution":
            out, kernel, count = (int(keys[key]) for key in ("0", "1", "6"))
            weight = reader.tagged(count).view(out, -1, kernel, kernel)
            yield Layer(kind, weight, reader.plain(out) if keys.get("5") == "1" else None)
        elif kind == "PReLU":
            yield Layer(kind, reader.plain(int(keys["0"])))
        elif kind not in WITHOUT_NUMBERS:
            raise UserError(f"{param}: a layer of type {kind}, which is not supported; Convolution and PReLU are")
    except (IndexError, KeyError, ValueError, RuntimeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{param}: a line that is no layer: {line[:80]}") from error


class _Reader:
    """Takes numbers from the front of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path.read_bytes()
        self.place = 0

    def plain(self, count: int) -> Tensor:
        """The next float32 numbers."""
        return self._take(count, np.dtype("<f4"))

    def tagged(self, count: int) -> Tensor:
        """A convolution's weights: a tag that names their type, and the numbers, padded to 4 bytes."""
        tag = int.from_bytes(self.data[self.place : self.place + 4], "little")
        if tag not in (0, HALF):
            raise UserError(f"{self.path}: weights of an unknown kind (tag {tag:#x}); float16 and float32 are read")
        self.place += 4
        weights = self._take(count, np.dtype("<f2") if tag == HALF else np.dtype("<f4"))
        self.place += -self.place % 4
        return weights

    def check_end(self) -> None:
        """Raises UserError where numbers are left."""
        if self.place != len(self.data):
            raise UserError(f"{self.path}: {len(self.data)} bytes, where the layers take {self.place}")

    def _take(self, count: int, dtype: np.dtype) -> Tensor:
        end = self.place + count * dtype.itemsize
        if count < 0 or end > len(self.data):
            raise UserError(f"{self.path}: ends before the layers do; copy it anew")
        numbers = np.frombuffer(self.data, dtype, count, self.place).astype(np.float32)
        self.place = end
        return torch.from_numpy(numbers)
