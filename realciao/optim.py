"""Optimizers and schedules: torch's own, by name: `{type: Adam, lr: 2.0e-4}`, `{type: MultiStepLR, milestones: [...]}`."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from realciao.errors import OptionError
from realciao.registry import Registry, build


def _registry(name: str, module: Any, base: type, unfit: set[str]) -> Registry:
    registry = Registry(name)
    for key, cls in vars(module).items():
        fits = isinstance(cls, type) and issubclass(cls, base) and key == cls.__name__ and key not in unfit
        if fits and cls is not base:
            registry.register(cls)
    return registry


# unfit are those that want more at a step than there is: a closure, sparse gradients, a metric
OPTIMIZERS = _registry("optimizer", torch.optim, torch.optim.Optimizer, {"LBFGS", "SparseAdam"})
SCHEDULERS = _registry("scheduler", torch.optim.lr_scheduler, LRScheduler, {"ReduceLROnPlateau"})
LENGTHS = {"CosineAnnealingLR": "T_max", "OneCycleLR": "total_steps"}
"""What a schedule that ends calls its length."""


def build_optimizer(spec: dict[str, Any], where: str, params: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """One of torch.optim, over `params`."""
    return build(OPTIMIZERS, spec, where, params=[p for p in params if p.requires_grad])


def build_scheduler(
    spec: dict[str, Any] | None, where: str, optimizer: torch.optim.Optimizer, total_iter: int
) -> LRScheduler:
    """One of torch.optim.lr_scheduler, stepped once an iteration; without a spec the rate stays what it is.

    CosineAnnealingLR's T_max and OneCycleLR's total_steps are `total_iter` unless the spec sets them: beyond, the cosine
    would rise again, and the cycle would fail.
    """
    spec = spec or {"type": "ConstantLR", "factor": 1.0}
    length = LENGTHS.get(str(spec.get("type")))
    if length:
        spec = {length: total_iter, **spec}
    if spec.get("type") == "OneCycleLR" and spec["total_steps"] != total_iter:
        raise OptionError(f"{where}.total_steps", f"is {spec['total_steps']}, the stage has {total_iter} iterations")
    return build(SCHEDULERS, spec, where, optimizer=optimizer)
