"""Scores of networks on items, against what can be known of them."""

import numpy as np
import pytest
import torch
from torch import nn

from realciao.batch import EvalItem
from realciao.metrics import build_metric
from realciao.training.validation import means, score_network


class Constant(nn.Module):
    """Answers every image with one grey."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def upscale(self, lq: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return self.value.detach().expand(len(lq), 3, *size)


def test_a_known_error_gives_the_psnr_of_its_closed_form_beside_bicubics() -> None:
    gt = np.full((16, 16, 3), 100 / 255, np.float32)
    item = EvalItem(name="grey", lq=gt[:8, :8], size=(16, 16), gt=gt)
    rows = score_network(Constant(110 / 255), [item], [build_metric("psnr")])
    assert rows[0]["psnr"] == pytest.approx(20 * np.log10(255 / 10), abs=1e-3)
    assert rows[0]["psnr_bicubic"] == float("inf")


def test_without_ground_truth_only_metrics_that_need_none_count() -> None:
    item = EvalItem(name="photo", lq=np.zeros((8, 8, 3), np.float32), size=(16, 16))
    assert score_network(Constant(0.5), [item], [build_metric("psnr")]) == []


def test_means_are_over_the_rows_that_have_a_number() -> None:
    rows = [{"a": 1.0, "b": 4.0}, {"a": 3.0, "b": float("nan")}, {"a": 5.0}]
    assert means(rows) == {"a": 3.0, "b": 4.0}
    assert means([]) == {}


def test_of_a_score_that_no_row_has_as_a_number_there_is_no_mean_and_no_warning() -> None:
    assert np.isnan(means([{"a": float("nan")}, {}])["a"])
