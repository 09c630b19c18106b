"""pyiqa's metrics by name: where they come from, what is said when a file is missing, and one against its formula."""

import threading
import time
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import scipy.ndimage
import torch

from realciao.errors import UserError
from realciao.metrics import build_metric, find_metric
from realciao.metrics.metric import MetricUnavailable
from realciao.metrics.pyiqa_loading import FILES
from realciao.metrics.pyiqa_metric import OF_FOLDERS, OWN, catalog


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture, and noise of the same size in [-1, 1]."""
    rng = np.random.default_rng(0)
    smooth = scipy.ndimage.zoom(rng.random((14, 15, 3)), (13, 13, 1), order=3).clip(0, 1)
    return smooth.astype(np.float32), rng.uniform(-1, 1, smooth.shape).astype(np.float32)


def test_the_list_that_is_read_without_pyiqa_is_pyiqas_own():
    import pyiqa

    assert catalog().keys() == set(pyiqa.list_models()) - {*OWN, *OF_FOLDERS}
    for name in (
        "lpips",
        "dists",
        "musiq",
        "maniqa-pipal",
        "clipiqa+",
        "liqe",
        "topiq_nr",
        "topiq_fr",
        "clipiqa+_vitL14_512",
    ):
        cls = find_metric(name.upper())
        assert cls.__name__ == name
        assert cls.needs_gt == (name in ("lpips", "dists", "topiq_fr"))
        assert cls.lower_better == (name in ("lpips", "dists"))
        assert cls.score_range != "unknown"


def test_the_files_that_are_looked_for_are_those_that_pyiqa_and_torchvision_load():
    from pyiqa.archs import (
        clip_model,
        clipiqa_arch,
        dists_arch,
        liqe_arch,
        lpips_arch,
        maniqa_arch,
        musiq_arch,
        topiq_arch,
    )
    from torchvision.models import AlexNet_Weights, VGG16_Weights

    archs = (clipiqa_arch, dists_arch, liqe_arch, lpips_arch, maniqa_arch, musiq_arch, topiq_arch)
    urls = [url for arch in archs for url in arch.default_model_urls.values()]
    urls += [AlexNet_Weights.IMAGENET1K_V1.url, VGG16_Weights.IMAGENET1K_V1.url, *clip_model._MODELS.values()]
    known = {Path(urlparse(url).path).name for url in urls}
    assert {Path(file).name for files in FILES.values() for file in files} <= known
    assert FILES.keys() <= catalog().keys()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_one_line_with_its_name_and_place_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("realciao.metrics.pyiqa_loading.online", lambda: False)
    began = time.perf_counter()
    with pytest.raises(MetricUnavailable) as caught:
        build_metric(name)
    assert time.perf_counter() - began < 1
    first = tmp_path / "hub" / FILES[name][0]
    assert f"{name}: {first.name} is not in {first.parent} and there is no network" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_network_that_never_answers_is_given_up_within_a_second(monkeypatch: pytest.MonkeyPatch):
    from realciao.metrics import pyiqa_loading

    monkeypatch.setattr(pyiqa_loading.socket, "create_connection", lambda *_: threading.Event().wait())
    began = time.perf_counter()
    assert pyiqa_loading.online.__wrapped__() is False
    assert time.perf_counter() - began < 1
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    began = time.perf_counter()
    assert pyiqa_loading.online.__wrapped__() is False
    assert time.perf_counter() - began < 0.1


class _Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_a_pickle_among_pyiqas_weights_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "hub" / "pyiqa"
    folder.mkdir(parents=True)
    torch.save({"params": _Bomb(tmp_path / "ran")}, folder / "CNNIQA_koniq10k-e6f14c91.pth")
    monkeypatch.setattr("pyiqa.utils.download_util.DEFAULT_CACHE_DIR", str(folder))
    with pytest.raises(MetricUnavailable, match="more than tensors"):
        build_metric("cnniqa")
    assert not (tmp_path / "ran").exists()


def slow_gmsd(pred: np.ndarray, gt: np.ndarray) -> float:
    """Xue et al. 2014, Eqs. 1 to 6, on pyiqa's Y (that of YIQ) in [0, 255]."""
    maps = []
    for image in (pred, gt):
        levels = np.rint(image.astype(np.float64) * 255)
        grey = levels @ np.array([0.299, 0.587, 0.114])
        half = sum(grey[i::2, j::2][: grey.shape[0] // 2, : grey.shape[1] // 2] for i in (0, 1) for j in (0, 1)) / 4
        prewitt = np.array([[1, 0, -1]] * 3) / 3
        x, y = (scipy.ndimage.convolve(half, k, mode="constant") for k in (prewitt, prewitt.T))
        maps.append(np.sqrt(x**2 + y**2))
    similarity = (2 * maps[0] * maps[1] + 170) / (maps[0] ** 2 + maps[1] ** 2 + 170)
    return float(similarity.std())


def test_gmsd_is_its_formula():
    smooth, noise = pictures()
    noisy = (smooth + 0.1 * noise).clip(0, 1)
    assert build_metric("gmsd")(noisy, smooth) == pytest.approx(slow_gmsd(noisy, smooth), abs=2e-3)


@pytest.mark.parametrize("name", ["ms_ssim", "gmsd", "fsim"])
def test_more_noise_is_worse_and_none_is_best(name: str):
    metric = build_metric(name)
    smooth, noise = pictures()
    scores = [metric((smooth + level * noise).clip(0, 1), smooth) for level in (0, 0.05, 0.2)]
    assert scores == sorted(scores, reverse=not metric.lower_better)
    assert scores[0] == pytest.approx(0 if metric.lower_better else 1, abs=1e-6)
    assert metric.implementation == f"pyiqa {__import__('pyiqa').__version__} {name}"


def test_an_image_that_pyiqa_cannot_take_is_the_users_to_know():
    small = np.zeros((20, 20, 3), np.float32)
    with pytest.raises(UserError, match="pyiqa fails on it"):
        build_metric("ms_ssim")(small, small)
