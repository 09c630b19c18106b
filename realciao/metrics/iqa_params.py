"""Finds and reads NIQE's and BRISQUE's parameters.

Looked for in the user's folder, then BasicSR's wheel (NIQE), pyiqa's cache, and its download. Nothing is unpickled:
MATLAB files are read by scipy, libsvm's text by hand, a `.pth` with weights_only. The figures are UT Austin's:
github.com/utlive/niqe (modelparameters.mat) and github.com/utlive/BRISQUE (allmodel, allrange).
"""

import http.client
import importlib.resources
import pickle
import socket
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from jaxtyping import Float
from torch import Tensor

from realciao.errors import UserError
from realciao.metrics.metric import MetricUnavailable
from realciao.metrics.pyiqa_loading import online

FEATURES = 36
DOWNLOAD_TIMEOUT_S = 10.0
BRISQUE_PTH = "brisque_svm_weights.pth"
# what pyiqa has built in beside the vectors (and the ranges of `allrange`): a model with others would score wrongly
BRISQUE_SVM = {"svm_type": "epsilon_svr", "kernel_type": "rbf", "gamma": "0.05", "rho": "-153.591"}

Gaussian = tuple[Float[np.ndarray, "36"], Float[np.ndarray, "36 36"]]
SupportVectors = tuple[Float[Tensor, "n"], Float[Tensor, "n 36"]]


def niqe_gaussian(folder: Path | None) -> tuple[Gaussian, str]:
    """NIQE's mean and covariance of natural images, and the name of the file that they are from.

    Args:
        folder: searched for a `.mat` with mu_prisparam and cov_prisparam; without one BasicSR's copy of them is taken.
    """
    for path in sorted(_existing(folder).glob("*.mat")) if folder else ():
        try:
            content: dict[str, Any] = scipy.io.loadmat(path)
        except Exception as error:  # scipy raises whatever a damaged file leads it into
            raise UserError(f"{path} is not a readable MATLAB file ({error})") from error
        if {"mu_prisparam", "cov_prisparam"} <= content.keys():
            mean, covariance = np.ravel(content["mu_prisparam"]), content["cov_prisparam"]
            if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES):
                raise UserError(f"{path} holds shapes {mean.shape}, {covariance.shape}, expected 36 features")
            return (mean, covariance), path.name
    copy = importlib.resources.files("basicsr.metrics").joinpath("niqe_pris_params.npz")
    with copy.open("rb") as file, np.load(file) as content:
        return (np.ravel(content["mu_pris_param"]), content["cov_pris_param"]), f"basicsr's {copy.name}"


def brisque_vectors(folder: Path | None) -> tuple[SupportVectors, str]:
    """BRISQUE's support vectors with their coefficients, and the name of the file that they are from.

    Args:
        folder: searched for libsvm's `allmodel`, then for pyiqa's `brisque_svm_weights.pth`.

    Raises:
        UserError: a file is damaged.
        MetricUnavailable: none is found and none can be downloaded.
    """
    if folder and (_existing(folder) / "allmodel").is_file():
        return read_libsvm(folder / "allmodel"), "allmodel"
    own = folder / BRISQUE_PTH if folder else None
    return _read_pth(own if own and own.is_file() else _pyiqa_file(folder)), BRISQUE_PTH


def read_libsvm(path: Path) -> SupportVectors:
    """Coefficients and support vectors of a libsvm text model, which must be the published BRISQUE's."""
    try:
        header, _, body = path.read_text(encoding="ascii", errors="replace").partition("\nSV\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    fields = {key: value for key, _, value in (line.partition(" ") for line in header.splitlines())}
    wrong = [f"{key} {fields.get(key, '(missing)')}" for key, value in BRISQUE_SVM.items() if fields.get(key) != value]
    if wrong:
        raise UserError(f"{path} is not UT Austin's model: it says {', '.join(wrong)}")
    lines = [line.split() for line in body.splitlines()]
    try:
        if len(lines) != int(fields["total_sv"]):
            raise ValueError(f"{len(lines)} of {fields['total_sv']} vectors")
        vectors = np.zeros((len(lines), FEATURES))
        for vector, (_, *items) in zip(vectors, lines, strict=True):
            for index, value in (item.split(":") for item in items):
                vector[int(index) - 1] = float(value)
        coefficients = np.array([float(line[0]) for line in lines])
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path} is damaged ({error})") from error
    return torch.from_numpy(coefficients), torch.from_numpy(vectors)


def _read_pth(path: Path) -> SupportVectors:
    try:
        coefficients, vectors = torch.load(path, weights_only=True, map_location="cpu")
        if vectors.shape != (len(coefficients), FEATURES):
            raise ValueError(f"shape {tuple(vectors.shape)}")
    except (OSError, RuntimeError, ValueError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is not a pair of coefficients and vectors ({reason})") from error
    return coefficients, vectors


def _pyiqa_file(folder: Path | None) -> Path:
    cache = Path(torch.hub.get_dir(), "pyiqa")
    if (cache / BRISQUE_PTH).is_file():
        return cache / BRISQUE_PTH
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)  # pyiqa sets none: a silent network would hold the user for minutes
    try:
        if not online():
            raise OSError("there is no network")
        from pyiqa.archs.brisque_arch import default_model_urls  # seconds, which who has no network need not wait
        from pyiqa.utils.download_util import load_file_from_url

        return Path(load_file_from_url(default_model_urls["url"], model_dir=str(cache)))
    except (OSError, http.client.HTTPException) as error:
        where = f"{folder} or {cache}" if folder else cache
        raise MetricUnavailable(
            f"{BRISQUE_PTH} is not in {where} and cannot be downloaded ({error}); put it there, or "
            "name a folder with UT Austin's `allmodel` (github.com/utlive/BRISQUE) by --iqa_params"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise UserError(f"iqa_params: no folder {folder}")
    return folder
