"""Optimizers and schedules are torch's, by name."""

import math

import pytest
import torch
from torch import nn

from realciao.errors import OptionError
from realciao.optim import build_optimizer, build_scheduler


def test_an_optimizer_has_the_settings_of_its_spec_and_leaves_frozen_parameters_alone() -> None:
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    optimizer = build_optimizer({"type": "AdamW", "lr": 3e-4, "betas": [0.9, 0.99]}, "optim_g", net.named_parameters())
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults["lr"] == 3e-4
    assert tuple(optimizer.defaults["betas"]) == (0.9, 0.99)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 1


def test_a_schedule_follows_its_closed_form_and_without_one_the_rate_stays() -> None:
    for spec, expected in (
        ({"type": "MultiStepLR", "milestones": [2, 4], "gamma": 0.5}, [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]),
        (None, [1.0] * 6),
    ):
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        scheduler = build_scheduler(spec, "scheduler", optimizer, 6)
        rates = []
        for _ in range(6):
            rates.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        assert rates == expected


def test_a_cosine_ends_with_the_stage_whatever_its_length() -> None:
    for total_iter in (10, 37):
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        scheduler = build_scheduler({"type": "CosineAnnealingLR", "eta_min": 0.1}, "s", optimizer, total_iter)
        for step in range(1, total_iter + 1):
            optimizer.step()
            scheduler.step()
            expected = 0.1 + 0.9 * (1 + math.cos(math.pi * step / total_iter)) / 2
            assert scheduler.get_last_lr()[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"type": "Adan", "lr": 1e-3}, "optim_g.type"),
        ({"type": "Adam", "learning_rate": 1e-3}, "optim_g.learning_rate"),
        ({"type": "Adam", "lr": -1}, "optim_g"),
        ({"type": "Adam", "params": []}, "optim_g.params"),
    ],
)
def test_a_wrong_optimizer_is_refused_at_the_path_of_the_key(spec: dict[str, object], path: str) -> None:
    with pytest.raises(OptionError) as caught:
        build_optimizer(spec, "optim_g", nn.Linear(1, 1).named_parameters())
    assert caught.value.path == path
