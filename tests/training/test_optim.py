"""Optimizers and schedules are torch's, by name."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from realciao.errors import OptionError
from realciao.training.optim import build_optimizer, build_scheduler, wind


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


def rates(spec: dict[str, object] | None, steps: int, warmup: int = 0) -> list[float]:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    scheduler = build_scheduler(spec, "scheduler", optimizer, steps, warmup)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        assert scheduler.get_last_lr() == [found[-1]]
        optimizer.step()
        scheduler.step()
    return found


def test_basicsr_s_schedules_with_restarts_follow_their_closed_forms() -> None:
    spec = {"type": "CosineAnnealingRestartLR", "periods": [4, 6], "restart_weights": [1, 0.5], "eta_min": 0.1}
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(5)]
    expected += [0.1 + 0.5 * 0.9 * (1 + math.cos(math.pi * (t - 4) / 6)) / 2 for t in range(5, 10)]
    assert rates(spec, 10) == pytest.approx(expected)
    spec = {"type": "MultiStepRestartLR", "milestones": [2, 6], "gamma": 0.1, "restarts": [4], "restart_weights": [0.5]}
    assert rates(spec, 8) == pytest.approx([1, 1, 0.1, 0.1, 0.5, 0.5, 0.05, 0.05])


SCHEDULES = [
    None,
    {"type": "MultiStepLR", "milestones": [3, 5], "gamma": 0.5},
    {"type": "CosineAnnealingLR", "eta_min": 0.1},
    {"type": "CosineAnnealingRestartLR", "periods": [5, 5], "restart_weights": [1, 1]},
    {"type": "ExponentialLR", "gamma": 0.9},
    {"type": "OneCycleLR", "max_lr": 2.0},
]


@pytest.mark.parametrize("spec", SCHEDULES)
def test_a_warm_up_multiplies_any_schedule_by_a_ramp_and_leaves_the_rest_of_it(spec: dict[str, object] | None) -> None:
    plain = rates(spec, 10)
    expected = [rate * min(1, (i + 1) / 4) for i, rate in enumerate(plain)]
    assert rates(spec, 10, warmup=4) == pytest.approx(expected)


@pytest.mark.parametrize("spec", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 4])
def test_a_schedule_wound_forward_stands_where_one_stands_that_was_stepped(
    spec: dict[str, object] | None, warmup: int
) -> None:
    def walk(done: int) -> list[dict[str, Any]]:
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0, momentum=0.9)
        scheduler = build_scheduler(spec, "scheduler", optimizer, 10, warmup)
        wind(scheduler, done)
        groups = []
        for _ in range(done, 10):
            groups.append({key: value for key, value in optimizer.param_groups[0].items() if key != "params"})
            optimizer.step()
            scheduler.step()
        return groups

    whole = walk(0)
    assert all(walk(done) == whole[done:] for done in (1, 3, 9))


def test_parts_of_a_network_have_rates_of_their_own_and_follow_one_schedule() -> None:
    net = nn.ModuleDict(
        {"encoder": nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)}), "encoders": nn.Linear(1, 1)}
    )
    spec = {
        "type": "Adam",
        "lr": 1.0,
        "groups": {"encoder": {"lr": 0.1}, "encoder.b": {"lr": 0.2, "weight_decay": 0.5}},
    }
    optimizer = build_optimizer(spec, "optim_g", net.named_parameters())
    settings = {
        id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }
    expected = {"encoder.a": (0.1, 0), "encoder.b": (0.2, 0.5), "encoders": (1.0, 0)}
    for name, parameter in net.named_parameters():
        assert settings[id(parameter)] == expected[name.rpartition(".")[0]]
    scheduler = build_scheduler({"type": "MultiStepLR", "milestones": [1], "gamma": 0.5}, "s", optimizer, 2)
    optimizer.step()
    scheduler.step()
    assert sorted(group["lr"] for group in optimizer.param_groups) == [0.05, 0.1, 0.5]


@pytest.mark.parametrize(
    ("groups", "path"),
    [
        ({"encodr": {"lr": 1.0}}, "optim_g.groups.encodr"),
        ({"encoder": {"lrr": 1.0}}, "optim_g.groups.encoder.lrr"),
        ({"encoder": 1.0}, "optim_g.groups"),
    ],
)
def test_a_wrong_group_is_refused_at_its_path(groups: dict[str, object], path: str) -> None:
    net = nn.ModuleDict({"encoder": nn.Linear(1, 1)})
    with pytest.raises(OptionError) as caught:
        build_optimizer({"type": "Adam", "groups": groups}, "optim_g", net.named_parameters())
    assert caught.value.path == path
