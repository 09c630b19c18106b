"""Real noise: patches cut from flat places of photos (RealSR, NTIRE 2020), or noise that looks like theirs.

A pool is a folder of images; `scripts/degrade.py --extract_noise` makes one.
"""

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from degradations import kernels
from degradations.errors import RecipeError
from degradations.noise import draw_correlation, gaussian_field
from degradations.noise_fields import gaussian_fields
from degradations.pixels import from_8bit
from degradations.pools import pool_files, pool_path
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Size, Step
from degradations.values import Range, RangeSpec, draw_seed

EXTENSIONS = (".png", ".tif", ".tiff", ".bmp", ".webp")


@DEGRADATION_REGISTRY.register()
class NoisePool(Step):
    """Adds a piece of a noise patch less its own mean in each channel, then clips to [0, 1].

    The plan says where the piece lies, and a checksum of the patch, so that it cannot be repeated with another patch
    unawares. Where the image is larger than the patch, the patch is continued by mirroring.

    Args:
        path: the folder of the patches, with its subfolders; None for synthesised noise: normal, the channels correlated as in
            GaussianNoise, blurred to the size of a grain. The plan then says so, "source": "synthesised".
        sigma_8bit: of the synthesised noise, in 8-bit levels. A patch of RealSR's has less than sqrt(20) of them.
        grain_px: sigma of the blur of the synthesised noise.
    """

    bounds: ClassVar = {"sigma_8bit": (0, 255), "grain_px": (0.01, 8), "correlation": (-2, 2)}

    def __init__(
        self, path: str | None = None, sigma_8bit: RangeSpec = (0.5, 4.5), grain_px: RangeSpec = (0.3, 1.2)
    ) -> None:
        self.path = None if path is None else pool_path("path", path)
        self.sigma_8bit = Range.parse("sigma_8bit", sigma_8bit, at_least=0, at_most=255)
        self.grain_px = Range.parse("grain_px", grain_px, at_least=0.01, at_most=8)
        self.files = [] if self.path is None else list_patches(self.path)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        if self.path is None:
            return {
                "source": "synthesised",
                "sigma_8bit": self.sigma_8bit.draw(rng),
                "grain_px": self.grain_px.draw(rng),
                "gray": False,
                "correlation": _unit_rows(draw_correlation(rng)),
                "seed": draw_seed(rng),
            }
        file = self.files[int(rng.integers(len(self.files)))]
        patch, checksum = read_patch(self.path / file)
        room = [max(0, patch.shape[axis] - frame.size[axis]) for axis in (0, 1)]
        return {
            "source": "pool",
            "path": str(self.path),
            "file": file,
            "sha256": checksum,
            "crop": [int(rng.integers(n + 1)) for n in room],
        }

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        size = image.shape[:2]
        noise = _piece(params, size) if params["source"] == "pool" else _synthesised(params, size)
        return np.clip(image + noise, 0, 1)

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Differentiable, but for the clipping."""
        noises = []
        for p, image in zip(params, images, strict=True):
            if p["source"] == "pool":
                _, height, width = image.shape
                noise = torch.from_numpy(_piece(p, (height, width))).permute(2, 0, 1).to(image)
            else:
                noise = _synthesised_torch(p, image)
            noises.append(noise)
        return (images + torch.stack(noises)).clamp(0, 1)


def list_patches(folder: Path) -> list[str]:
    """The images in a folder and below it, relative to it, sorted; raises RecipeError where there is none."""
    if not os.path.isdir(folder):
        raise RecipeError("path", f"there is no folder '{folder}'; make one with scripts/degrade.py --extract_noise")
    files = [path.relative_to(folder).as_posix() for path in pool_files(folder, EXTENSIONS)]
    if not files:
        raise RecipeError("path", f"no image in '{folder}'; known: {', '.join(EXTENSIONS)}")
    return files


def read_patch(path: Path) -> tuple[UInt8[np.ndarray, "h w 3"], str]:
    """An image, RGB, and the SHA-256 of its file; raises RecipeError where it cannot be read."""
    try:
        return _read_patch(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise RecipeError("file", f"'{path}' cannot be read ({error.strerror})") from error


@lru_cache(maxsize=256)
def _read_patch(path: Path, changed_ns: int) -> tuple[UInt8[np.ndarray, "h w 3"], str]:
    data = path.read_bytes()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise RecipeError("file", f"'{path}' is no image that can be read")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), hashlib.sha256(data).hexdigest()


def _piece(params: Params, size: Size) -> Float[np.ndarray, "h w 3"]:
    patch, checksum = read_patch(Path(params["path"], params["file"]))
    if checksum != params["sha256"]:
        raise RecipeError("sha256", f"'{params['file']}' is not the patch that the plan was drawn with")
    rows, columns = (
        _mirrored(start, n, length) for start, n, length in zip(params["crop"], size, patch.shape[:2], strict=True)
    )
    piece = from_8bit(patch[rows[:, None], columns])
    return piece - piece.mean((0, 1), np.float64).astype(np.float32)


def _mirrored(start: int, n: int, length: int) -> Int[np.ndarray, "n"]:
    """Indices start, ..., start + n - 1 into a line of `length`, which runs to and fro."""
    index = np.arange(start, start + n) % (2 * length)
    return np.minimum(index, 2 * length - 1 - index)


def _unit_rows(root: list[list[float]]) -> list[list[float]]:
    """The same correlations, but a variance of 1 in every channel."""
    matrix = np.array(root)
    return (matrix / np.sqrt((matrix**2).sum(1, keepdims=True))).tolist()


def _grain(params: Params) -> Float[np.ndarray, "k k"]:
    """The blur, which keeps the variance of white noise."""
    grain_px = params["grain_px"]
    kernel = kernels.gaussian(2 * int(np.ceil(3 * grain_px)) + 1, (grain_px, grain_px))
    return kernel / np.sqrt((kernel**2).sum())


def _synthesised(params: Params, size: Size) -> Float[np.ndarray, "h w 3"]:
    grain = _grain(params)
    margin = len(grain) // 2
    wide = gaussian_field(params, (size[0] + 2 * margin, size[1] + 2 * margin))
    blurred = cv2.filter2D(wide, -1, grain)
    return blurred[margin : margin + size[0], margin : margin + size[1]]


def _synthesised_torch(params: Params, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    grain = torch.from_numpy(_grain(params)).to(image)
    margin = len(grain) // 2
    wide = gaussian_fields([params], F.pad(image[None], (margin,) * 4))
    return F.conv2d(wide.transpose(0, 1), grain[None, None])[:, 0]
