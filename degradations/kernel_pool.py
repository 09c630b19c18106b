"""Kernels that were estimated from real photos, as KernelGAN does for RealSR (Ji et al., 2020), for any scale."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import io

from degradations import kernels
from degradations.blur import MAX_KERNEL_SIZE, MIN_SIGMA_PX, KernelBlur
from degradations.errors import RecipeError
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params
from degradations.values import ScaleRange, ScaleRangeSpec, number

SUFFIXES = (".npy", ".mat")
DECIMALS = 7
"""Kept of a tap in the plan; what is smaller changes no 8-bit image."""


@DEGRADATION_REGISTRY.register()
class KernelPool(KernelBlur):
    """Blur with a kernel drawn from files, made as wide as the scale asks for, its centre of mass in the middle.

    The plan holds the kernel itself beside the file's name, so that it can be carried out without the files. Without a
    path a kernel is made up, an anisotropic Gaussian, and the plan says "synthesised" instead of the name.

    Args:
        path: a .npy or .mat file, or a folder in which all of them, also in its folders, are the pool.
        key: name of the array in .mat files; needed where they hold several.
        estimated_at: the scale at which the kernels were estimated. At scale s they are stretched by s / estimated_at.
        variance_px2: of the kernels that are made up, along their two axes. The default is the law of KernelGAN's own
            test set (Bell-Kligler et al., 2019).
    """

    def __init__(
        self,
        path: str | None = None,
        key: str | None = None,
        estimated_at: float = 4.0,
        variance_px2: ScaleRangeSpec = ("0.175 s", "2.5 s"),
    ) -> None:
        self.estimated_at = number("estimated_at", estimated_at, 1, 64)
        self.variance_px2 = ScaleRange.parse("variance_px2", variance_px2, at_least=0, at_most=200)
        self.pool: list[tuple[str, Float[np.ndarray, "m n"]]] = []
        if path is not None:
            self.pool = [(_name(file, path), read_kernel(file, key)) for file in find_files(path)]

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        if self.pool:
            source, original = self.pool[int(rng.integers(len(self.pool)))]
            kernel = kernels.trim(kernels.stretch(original, frame.scale / self.estimated_at), 1e-4)
        else:
            source, kernel = "synthesised", self._synthesise(rng, frame.scale)
        # a float64 first: as a Python float the decimal is exact through JSON
        return {"source": source, "kernel": np.round(kernel.astype(np.float64), DECIMALS).tolist()}

    def _synthesise(self, rng: np.random.Generator, scale: float) -> Float[np.ndarray, "k k"]:
        variance = [self.variance_px2.draw(rng, scale) for _ in range(2)]
        sigma = np.maximum(np.sqrt(variance), MIN_SIGMA_PX).tolist()
        size = min(2 * round(4 * max(sigma)) + 1, MAX_KERNEL_SIZE)
        return kernels.trim(kernels.gaussian(size, sigma, float(rng.uniform(0, np.pi))), 1e-4)

    @classmethod
    def kernel(cls, params: Params) -> Float[np.ndarray, "k k"]:
        kernel = np.array(params["kernel"], np.float64)
        if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or len(kernel) % 2 == 0:
            raise RecipeError("kernel", f"expected a square of odd size, got one of {list(kernel.shape)}")
        if not 0 < kernel.sum() < np.inf:
            raise RecipeError("kernel", f"its sum must be positive, got {kernel.sum():g}")
        return (kernel / kernel.sum()).astype(np.float32)


def find_files(path: str) -> list[Path]:
    """The kernel files that `path` names, sorted; raises RecipeError at `path`."""
    root = Path(path)
    if root.is_file() and root.suffix in SUFFIXES:
        return [root]
    files = sorted(file for suffix in SUFFIXES for file in root.rglob(f"*{suffix}"))
    if not files:
        raise RecipeError("path", f"'{path}' is no .npy or .mat file, and no folder with any")
    return files


def read_kernel(path: Path, key: str | None = None) -> Float[np.ndarray, "m n"]:
    """Reads a kernel of any size up to 101, normalised to the sum 1; raises RecipeError at `path` or `key`."""
    try:
        array = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _from_mat(io.loadmat(path), path, key)
    except RecipeError:
        raise
    except Exception as error:  # a damaged .mat can make scipy raise anything
        raise RecipeError("path", f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not _is_kernel(array):
        raise RecipeError("path", f"{path} holds no kernel: expected 2-D numbers, got {array.dtype} {array.shape}")
    if max(array.shape) > MAX_KERNEL_SIZE:
        raise RecipeError("path", f"{path} holds a kernel of {array.shape}; sides are at most {MAX_KERNEL_SIZE}")
    kernel = array.astype(np.float64)
    if not np.isfinite(kernel).all() or kernel.sum() <= 0:
        raise RecipeError("path", f"{path} holds a kernel with a sum of {kernel.sum():g}; it must be positive")
    return kernel / kernel.sum()


def _name(file: Path, path: str) -> str:
    return file.name if file == Path(path) else file.relative_to(path).as_posix()


def _from_mat(content: dict[str, Any], path: Path, key: str | None) -> np.ndarray:
    arrays = {name: value for name, value in content.items() if not name.startswith("__")}
    if key is not None:
        if key not in arrays:
            raise RecipeError("key", f"{path} holds no '{key}'; it holds {', '.join(sorted(arrays))}")
        return np.asarray(arrays[key])
    found = [name for name, value in arrays.items() if _is_kernel(value) and value.dtype.kind == "f" and value.size > 1]
    if len(found) != 1:
        raise RecipeError(
            "key", f"{path} holds {len(found)} 2-D arrays of floats; name one of {', '.join(sorted(arrays))}"
        )
    return arrays[found[0]]


def _is_kernel(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.ndim == 2 and array.size > 0 and array.dtype.kind in "fiu"
