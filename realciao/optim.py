"""Optimizers and schedules: torch's own, by name: `{type: Adam, lr: 2.0e-4}`, `{type: MultiStepLR, milestones: [...]}`."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from realciao.registry import Registry, build


def _registry(name: str, module: Any, base: type) -> Registry:
    registry = Registry(name)
    for key, cls in vars(module).items():
        if isinstance(cls, type) and issubclass(cls, base) and cls is not base and key == cls.__name__:
            registry.register(cls)
    return registry


OPTIMIZERS = _registry("optimizer", torch.optim, torch.optim.Optimizer)
SCHEDULERS = _registry("scheduler", torch.optim.lr_scheduler, LRScheduler)


def build_optimizer(spec: dict[str, Any], where: str, params: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """One of torch.optim, over `params`."""
    return build(OPTIMIZERS, spec, where, params=[p for p in params if p.requires_grad])


def build_scheduler(
    spec: dict[str, Any] | None, where: str, optimizer: torch.optim.Optimizer, total_iter: int
) -> LRScheduler:
    """One of torch.optim.lr_scheduler, stepped once an iteration; without a spec the rate stays what it is.

    CosineAnnealingLR's T_max is `total_iter` unless the spec sets it: beyond T_max the rate would rise again.
    """
    spec = spec or {"type": "ConstantLR", "factor": 1.0}
    if spec.get("type") == "CosineAnnealingLR":
        spec = {"T_max": total_iter, **spec}
    return build(SCHEDULERS, spec, where, optimizer=optimizer)
