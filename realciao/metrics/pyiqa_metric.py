"""Every metric that pyiqa knows for single images, under its name there: lpips, dists, ms_ssim, gmsd, fsim, musiq, maniqa,
maniqa-pipal, clipiqa+, liqe, topiq_nr, topiq_fr and some eighty more.

PSNR, SSIM, NIQE, BRISQUE and PIQE have files of their own here, which say how they differ. Scores of images go by the name of
pyiqa's, not of a paper's: MANIQA in papers is often `maniqa-pipal`.
"""

import importlib.util
import warnings
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from realciao.errors import UserError
from realciao.images.reading import to_float, to_tensor
from realciao.metrics.metric import Metric
from realciao.metrics.pyiqa_loading import load_model
from realciao.registry import METRIC_REGISTRY

OWN = ("psnr", "psnry", "ssim", "ssimc", "niqe", "brisque", "piqe")
OF_FOLDERS = ("fid", "sfid", "fid_dinov2", "inception_score", "fgresq_pair")

# how pyiqa's NIQE and BRISQUE fail on a flat image
NO_DETAIL = (torch.linalg.LinAlgError, AssertionError)  # pyright: ignore[reportPrivateImportUsage]  (a documented name)


class PyiqaMetric(Metric):
    """A metric of pyiqa's, in float32; the class bears its name there.

    Args:
        note: what else there is to say of the implementation.
        device: where it runs.
        **options: of pyiqa's own class.
    """

    needs_gt = False

    def __init__(self, note: str = "", device: str = "cpu", **options: Any) -> None:
        self.device = torch.device(device)
        own = type(self).__name__
        theirs = own if own in catalog() else own.lower()
        self.model = load_model(theirs, device=self.device, **options)
        self.implementation = f"pyiqa {version('pyiqa')} {theirs}" + (f" ({note})" if note else "")

    def measure(self, pred: UInt8[np.ndarray, "h w 3"], gt: UInt8[np.ndarray, "gt_h gt_w 3"] | None) -> float:
        images = [to_tensor(to_float(image)) for image in (pred, gt if self.needs_gt else None) if image is not None]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"cov\(\)")  # NIQE from one block, which `sound` tells of
            try:
                return float(self.model(*images).item())
            except NO_DETAIL:
                return float("nan")
            except (
                RuntimeError,
                ValueError,
                AttributeError,
                IndexError,
            ) as error:  # what it takes too small images for
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise UserError(f"pyiqa fails on it ({reason:.120})") from error


@cache
def catalog() -> dict[str, dict[str, Any]]:
    """pyiqa's configurations by name, read from its list alone: the package takes seconds to import."""
    package = importlib.util.find_spec("pyiqa")
    for folder in (package and package.submodule_search_locations) or ():
        spec = importlib.util.spec_from_file_location("_pyiqa_catalog", Path(folder, "default_model_configs.py"))
        if spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return {name: one for name, one in module.DEFAULT_CONFIGS.items() if name not in (*OWN, *OF_FOLDERS)}
    return {}


def _register(name: str, config: dict[str, Any]) -> None:
    """Makes the class of one metric; a class statement cannot spell `clipiqa+`."""
    body = {
        "__doc__": f"pyiqa's {name}.",
        "__module__": __name__,
        "lower_better": bool(config.get("lower_better")),
        "needs_gt": config.get("metric_mode") == "FR",
        "score_range": str(config.get("score_range") or "unknown"),
    }
    METRIC_REGISTRY.register()(type(name, (PyiqaMetric,), body))


for _name, _config in catalog().items():
    _register(_name, _config)
