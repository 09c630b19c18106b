"""NIQE, BRISQUE and PIQE through pyiqa, in float32 on the CPU; all three look at the Y of YIQ.

pyiqa is under the PolyForm Noncommercial licence and takes seconds to import, so it is imported when a metric is made.
Scores agree with pyiqa's published calibration to 0.01; other implementations (MATLAB, BasicSR's NIQE on BT.601's Y)
differ by more than that, so compare only what one implementation measured.
"""

import tempfile
from pathlib import Path

import scipy.io
import torch

from realciao.metrics.iqa_params import brisque_vectors, niqe_gaussian
from realciao.metrics.pyiqa_metric import PyiqaMetric
from realciao.registry import METRIC_REGISTRY


@METRIC_REGISTRY.register()
class NIQE(PyiqaMetric):
    """Distance to the statistics of natural images (Mittal 2013), from blocks of 96 px; at least 0.

    Its covariance needs several blocks: with a side under 192 px there is one row of them and the number means little.

    Args:
        iqa_params: folder with UT Austin's niqe_modelparameters.mat; BasicSR's wheel holds the same figures.
    """

    lower_better = True
    score_range = "0, ~100"
    smallest_px = 96
    smallest_sound_px = 192

    def __init__(self, iqa_params: str | Path | None = None) -> None:
        (mean, covariance), source = niqe_gaussian(Path(iqa_params) if iqa_params else None)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "niqe.mat"))
            scipy.io.savemat(path, {"mu_prisparam": mean, "cov_prisparam": covariance})
            super().__init__(f"yiq grey; {source}", color_space="yiq", pretrained_model_path=path)


@METRIC_REGISTRY.register()
class BRISQUE(PyiqaMetric):
    """Support vector regression on scene statistics (Mittal 2012): about 0 (good) to 100.

    Args:
        iqa_params: folder with UT Austin's `allmodel`, or with pyiqa's brisque_svm_weights.pth.
    """

    lower_better = True
    score_range = "~0, ~150"
    smallest_px = 7

    def __init__(self, iqa_params: str | Path | None = None) -> None:
        vectors, source = brisque_vectors(Path(iqa_params) if iqa_params else None)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "brisque.pth"))
            torch.save(vectors, path)  # pyiqa unpickles its file, so it is given one that was made here
            super().__init__(f"yiq grey; {source}", pretrained_model_path=path)


@METRIC_REGISTRY.register()
class PIQE(PyiqaMetric):
    """Share of distorted blocks of 16 px (Venkatanath 2015): 0 (good) to 100, where blurred upscaling saturates."""

    lower_better = True
    score_range = "0, 100"
    smallest_px = 8

    def __init__(self) -> None:
        super().__init__("yiq grey")
