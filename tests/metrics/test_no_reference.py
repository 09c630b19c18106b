"""NIQE, BRISQUE and PIQE against published calibration, and the files that hold their parameters."""

import math
import os
import socket
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io
import skimage
import torch

from realciao.errors import UserError
from realciao.images.reading import read_rgb
from realciao.metrics import build_metric
from realciao.metrics.iqa_params import brisque_vectors, niqe_gaussian, read_libsvm
from realciao.metrics.metric import Metric, MetricUnavailable

PHOTOS = Path(skimage.__file__).parent / "data"
IQA_PARAMS = Path(os.environ.get("REALCIAO_SHARED", "$REALCIAO_SHARED")) / "data" / "iqa_params"
needs_brisque = pytest.mark.skipif(not (IQA_PARAMS / "allmodel").is_file(), reason=f"no BRISQUE files in {IQA_PARAMS}")

LIBSVM_HEADER = """svm_type epsilon_svr
kernel_type rbf
gamma 0.05
nr_class 2
total_sv 3
rho -153.591
probA 5.71401
SV
"""


@pytest.fixture(scope="module")
def niqe() -> Metric:
    return build_metric("niqe")


@pytest.fixture(scope="module")
def piqe() -> Metric:
    return build_metric("piqe")


@pytest.mark.parametrize(
    ("photo", "expected"),
    [("astronaut.png", 3.0640), ("coffee.png", 4.0617), ("chelsea.png", 2.5721), ("rocket.jpg", 7.0356)],
)
def test_niqe_with_basicsrs_parameters_is_pyiqas_with_the_published_ones(niqe: Metric, photo: str, expected: float):
    assert niqe(read_rgb(PHOTOS / photo)) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("photo", "expected"),
    [("astronaut.png", 33.7586), ("coffee.png", 27.8034), ("chelsea.png", 33.3930), ("rocket.jpg", 38.9937)],
)
def test_piqe_is_pyiqas(piqe: Metric, photo: str, expected: float):
    # some of coffee's blocks lie on a threshold: float32 and float64 differ by 0.17 there
    tolerance = 0.1 if photo == "coffee.png" else 0.01
    assert piqe(read_rgb(PHOTOS / photo)) == pytest.approx(expected, abs=tolerance)


@needs_brisque
@pytest.mark.parametrize(
    ("photo", "expected"),
    [("astronaut.png", 2.8693), ("coffee.png", 30.0726), ("chelsea.png", 2.5722), ("rocket.jpg", 9.9411)],
)
def test_brisque_from_libsvms_text_is_pyiqas_from_its_own_file(photo: str, expected: float):
    assert build_metric("brisque", iqa_params=IQA_PARAMS)(read_rgb(PHOTOS / photo)) == pytest.approx(expected, abs=0.02)


@needs_brisque
def test_the_feature_ranges_that_pyiqa_has_built_in_are_those_of_allrange():
    from pyiqa.archs.brisque_arch import scale_features

    bounds = np.loadtxt(IQA_PARAMS / "allrange", skiprows=2)[:, 1:]
    scaled = scale_features(torch.from_numpy(bounds.T.copy()))
    np.testing.assert_allclose(scaled.numpy(), [[-1] * 36, [1] * 36], atol=1e-6)


def test_niqe_is_sound_from_192_px_a_side_and_has_no_number_below_96(niqe: Metric, piqe: Metric):
    assert niqe.sound((192, 300))
    assert not niqe.sound((300, 191))
    assert piqe.sound((20, 20))
    photo = read_rgb(PHOTOS / "chelsea.png")
    assert niqe(photo[:96, :100]) > 0  # of no meaning, but a number
    assert math.isnan(niqe(photo[:95]))


def test_a_flat_image_has_no_niqe(niqe: Metric):
    assert math.isnan(niqe(np.full((200, 200, 3), 0.5, np.float32)))


def test_niqe_takes_the_users_matlab_file_before_basicsrs(tmp_path: Path):
    basicsr, source = niqe_gaussian(None)
    assert source == "basicsr's niqe_pris_params.npz"
    mean, covariance = np.arange(36.0), np.eye(36)
    scipy.io.savemat(tmp_path / "another.mat", {"x": 1})
    assert niqe_gaussian(tmp_path)[1] == source
    scipy.io.savemat(tmp_path / "own.mat", {"mu_prisparam": mean, "cov_prisparam": covariance})
    found, source = niqe_gaussian(tmp_path)
    assert source == "own.mat"
    np.testing.assert_array_equal(found[0], mean)
    np.testing.assert_array_equal(found[1], covariance)
    assert basicsr[0].shape == (36,)


@pytest.mark.parametrize("content", [b"", b"no MATLAB file" * 20])
def test_a_damaged_matlab_file_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "niqe_modelparameters.mat").write_bytes(content)
    with pytest.raises(UserError, match=r"niqe_modelparameters\.mat is not a readable MATLAB file"):
        niqe_gaussian(tmp_path)


def libsvm_text(coefficients: np.ndarray, vectors: np.ndarray) -> str:
    """The model as libsvm writes it, which leaves zeros out."""
    lines = [
        " ".join([repr(float(c)), *(f"{i}:{float(v)!r}" for i, v in enumerate(vector, start=1) if v != 0)])
        for c, vector in zip(coefficients, vectors, strict=True)
    ]
    return LIBSVM_HEADER + "".join(f"{line} \n" for line in lines)


def test_a_libsvm_model_is_read_as_it_was_written(tmp_path: Path):
    rng = np.random.default_rng(0)
    coefficients, vectors = rng.normal(size=3), rng.normal(size=(3, 36)) * (rng.random((3, 36)) > 0.3)
    (tmp_path / "allmodel").write_text(libsvm_text(coefficients, vectors))
    (read_coefficients, read_vectors), source = brisque_vectors(tmp_path)
    assert source == "allmodel"
    np.testing.assert_array_equal(read_coefficients.numpy(), coefficients)
    np.testing.assert_array_equal(read_vectors.numpy(), vectors)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LIBSVM_HEADER + "1 1:0.5\n2 1:0.5\n", r"allmodel is damaged \(2 of 3 vectors\)"),
        (LIBSVM_HEADER + "1 1:0.5\n2 1:0.5\n3 1:", r"allmodel is damaged"),
        (LIBSVM_HEADER + "1 1:0.5\n2 37:0.5\n3 1:2\n", r"allmodel is damaged"),
        (LIBSVM_HEADER.replace("-153.591", "-150"), r"allmodel is not UT Austin's model: it says rho -150"),
        ("", r"allmodel is not UT Austin's model: it says svm_type \(missing\)"),
        ("\0\xff", r"allmodel is not UT Austin's model"),
    ],
)
def test_a_truncated_or_foreign_libsvm_model_is_refused(tmp_path: Path, text: str, problem: str):
    (tmp_path / "allmodel").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=problem):
        read_libsvm(tmp_path / "allmodel")


class _Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_a_pickle_in_the_place_of_weights_is_refused_and_does_not_run(tmp_path: Path):
    torch.save(_Bomb(tmp_path / "ran"), tmp_path / "brisque_svm_weights.pth")
    with pytest.raises(UserError, match=r"brisque_svm_weights\.pth is not a pair of coefficients and vectors"):
        brisque_vectors(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_pyiqas_weights_file_is_read_from_the_users_folder_or_pyiqas_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    coefficients, vectors = torch.arange(5.0), torch.arange(180.0).view(5, 36)
    cache = tmp_path / "hub" / "pyiqa"
    cache.mkdir(parents=True)
    torch.save((coefficients, vectors), cache / "brisque_svm_weights.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for folder in (None, tmp_path, cache):
        found, _ = brisque_vectors(folder)
        assert torch.equal(found[0], coefficients)
        assert torch.equal(found[1], vectors)


def test_a_missing_file_without_network_is_one_line_with_the_file_and_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    limits: list[float | None] = []

    def unreachable(*_: object, **__: object) -> None:
        limits.append(socket.getdefaulttimeout())
        raise URLError("Name or service not known")

    monkeypatch.setattr("realciao.metrics.iqa_params.online", lambda: True)
    monkeypatch.setattr("pyiqa.utils.download_util.download_url_to_file", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError) as caught:
        build_metric("brisque")
    message = str(caught.value)
    assert message.startswith(f"metrics: BRISQUE: brisque_svm_weights.pth is not in {tmp_path / 'hub' / 'pyiqa'}")
    assert "\n" not in message
    assert limits[0] is not None
    assert limits[0] <= 10
    assert socket.getdefaulttimeout() is None


def test_offline_a_missing_file_is_not_even_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("realciao.metrics.iqa_params.online", lambda: False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MetricUnavailable, match="cannot be downloaded \\(there is no network\\)"):
        build_metric("brisque")


def test_a_missing_parameter_folder_is_named():
    with pytest.raises(UserError, match="iqa_params: no folder nowhere"):
        build_metric("niqe", iqa_params="nowhere")
