"""Pools of kernels: files of several kinds, plans that need no files, and every wrong file in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import io

import degradations
from degradations import RecipeError, build_pipeline, kernels
from degradations.kernel_pool import KernelPool
from degradations.registry import Frame

TO_LR = {"type": "Resize", "relative_to": "lr", "mode": "area"}


def _frame(scale: int) -> Frame:
    return Frame((64, 64), (64, 64), (64 // scale, 64 // scale))


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    np.save(tmp_path / "wide.npy", kernels.gaussian(25, (3.0, 2.0), 0.5))
    io.savemat(tmp_path / "deep" / "one.mat", {"Kernel": kernels.gaussian(20, (2.0, 2.0)), "sf": 4})
    io.savemat(tmp_path / "two.mat", {"Kernel": kernels.gaussian(15, (2.0, 1.0)), "x2": np.ones((8, 8))})
    (tmp_path / "notes.txt").write_text("no kernel")
    return tmp_path


def _variance(kernel: np.ndarray) -> float:
    offset = np.arange(len(kernel)) - len(kernel) // 2
    return float((kernel.sum(0) * offset**2).sum())


def test_kernels_of_all_files_are_drawn_and_named(pool: Path):
    step, rng = KernelPool(str(pool), key="Kernel"), np.random.default_rng(0)
    drawn = [step.sample(rng, _frame(4)) for _ in range(60)]
    assert {params["source"] for params in drawn} == {"wide.npy", "deep/one.mat", "two.mat"}
    for params in drawn:
        kernel = step.kernel(params)
        assert kernel.dtype == np.float32
        assert kernel.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("estimated_at", [2, 4])
def test_a_kernel_grows_with_the_scale(pool: Path, scale: int, estimated_at: int):
    step = KernelPool(str(pool / "deep" / "one.mat"), estimated_at=estimated_at)
    kernel = step.kernel(step.sample(np.random.default_rng(0), _frame(scale)))
    assert _variance(kernel) == pytest.approx((2.0 * scale / estimated_at) ** 2, rel=0.03)


def test_a_plan_needs_neither_the_files_nor_the_pool(pool: Path):
    pipeline = build_pipeline({"steps": [{"type": "KernelPool", "path": str(pool / "wide.npy")}, TO_LR]})
    image = np.random.default_rng(0).random((40, 30, 3), np.float32)
    plan = pipeline.sample(np.random.default_rng(0), (40, 30), 2.5)
    expected = degradations.apply(plan, image)
    (pool / "wide.npy").unlink()
    again = json.loads(json.dumps(plan))
    assert again == plan
    np.testing.assert_array_equal(degradations.apply(again, image), expected)


def test_without_files_kernels_are_made_up_and_the_plan_says_so():
    step, rng = KernelPool(), np.random.default_rng(0)
    for scale, low, high in ((1, 0.175, 2.5), (4, 0.7, 10)):
        drawn = [step.sample(rng, _frame(scale)) for _ in range(200)]
        assert {params["source"] for params in drawn} == {"synthesised"}
        variance = [_variance(step.kernel(params)) for params in drawn]
        assert min(variance) > 0.8 * low - 0.1
        assert max(variance) < 1.02 * high
        assert np.mean(variance) == pytest.approx((low + high) / 2, rel=0.1)


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ([[0.5, 0.5]], r"expected a square of odd size, got one of \[1, 2\]"),
        ([[0.0]], "its sum must be positive, got 0"),
        ([[float("nan")]], r"must be finite, and at most 1e\+16, got nan"),
    ],
)
def test_an_edited_kernel_that_is_none_is_refused(kernel, words):
    plan = build_pipeline({"steps": [{"type": "KernelPool"}, TO_LR]}).sample(np.random.default_rng(0), (9, 9), 1)
    plan["steps"][0]["kernel"] = kernel
    with pytest.raises(RecipeError, match=rf"steps\.0\.kernel: {words}"):
        degradations.apply(plan, np.zeros((9, 9, 3), np.float32))


def _bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    np.save(folder / "flat.npy", np.ones(9))
    np.save(folder / "nan.npy", np.full((3, 3), np.nan))
    np.save(folder / "zero.npy", np.zeros((3, 3)))
    np.save(folder / "large.npy", np.ones((103, 3)))
    np.save(folder / "pickled.npy", np.array([[None]]), allow_pickle=True)
    np.save(folder / "aslant.npy", np.array([[1, -0.9999999]]))
    np.save(folder / "sum.npy", np.full((3, 3), 1e308))
    np.savez(folder / "archive", kernel=np.ones((3, 3)))
    (folder / "archive.npz").rename(folder / "archive.npy")
    (folder / "torn.npy").write_bytes(b"\x93NUMPY")
    (folder / "torn.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b"\0" * 10)
    (folder / "empty").mkdir()
    return {
        "flat.npy": (folder / "flat.npy", "expected 2-D numbers, got float64 (9,)"),
        "nan.npy": (folder / "nan.npy", "sum of nan"),
        "zero.npy": (folder / "zero.npy", "must be positive"),
        "large.npy": (folder / "large.npy", "at most 101"),
        "pickled.npy": (folder / "pickled.npy", "cannot be read"),
        "aslant.npy": (folder / "aslant.npy", "centre of mass"),
        "sum.npy": (folder / "sum.npy", "sum of inf"),
        "archive.npy": (folder / "archive.npy", "cannot be read"),
        "torn.npy": (folder / "torn.npy", "cannot be read"),
        "torn.mat": (folder / "torn.mat", "cannot be read"),
        "empty": (folder / "empty", "no folder with any"),
        "gone": (folder / "gone", "no folder with any"),
    }


@pytest.mark.filterwarnings("ignore:overflow")
def test_every_wrong_file_is_named_in_one_line(tmp_path: Path):
    for path, words in _bad_files(tmp_path).values():
        with pytest.raises(RecipeError) as caught:
            build_pipeline({"steps": [{"type": "KernelPool", "path": str(path)}, TO_LR]})
        assert caught.value.path == "steps.0.path"
        assert str(path) in caught.value.problem
        assert words in caught.value.problem
        assert "\n" not in str(caught.value)


def test_an_array_that_is_not_clear_must_be_named(pool: Path):
    for key, words in ((None, "name one of Kernel, x2"), ("kernel", "holds no 'kernel'; it holds Kernel, x2")):
        with pytest.raises(RecipeError) as caught:
            KernelPool(str(pool / "two.mat"), key=key)
        assert caught.value.path == "key"
        assert words in caught.value.problem
