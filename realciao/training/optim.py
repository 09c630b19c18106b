"""Optimizers and schedules: torch's own, by name: `{type: Adam, lr: 2.0e-4}`, `{type: MultiStepLR, milestones: [...]}`, and
BasicSR's two schedules with restarts.
"""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim.lr_scheduler import LRScheduler

from realciao.errors import OptionError, did_you_mean
from realciao.registry import Registry, build  # first: it makes basicsr importable

from basicsr.models.lr_scheduler import CosineAnnealingRestartLR, MultiStepRestartLR  # isort: skip


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
for _schedule in (MultiStepRestartLR, CosineAnnealingRestartLR):
    SCHEDULERS.register(_schedule)
# a generator may begin later than its schedule, see net_d_init_iters
warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")

LENGTHS = {"CosineAnnealingLR": "T_max", "OneCycleLR": "total_steps"}
"""What a schedule that ends calls its length."""


def build_optimizer(
    spec: Mapping[str, Any], where: str, named: Iterable[tuple[str, Parameter]]
) -> torch.optim.Optimizer:
    """One of torch.optim, over the parameters that are to be trained.

    Args:
        spec: beside the optimizer's own arguments, `groups` says what is otherwise for a part of the network, e.g.
            `{encoder: {lr: 1.0e-5}}`; of several parts that hold a parameter, the longest name wins.
        where: the spec's place in the option file.
        named: the network's parameters by name.

    Raises:
        OptionError: a wrong argument, or a part that holds no parameter.
    """
    named = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    if not named:
        raise OptionError(where, "there is nothing to train: the network has no parameter, or all are frozen")
    if not isinstance(spec, Mapping) or "groups" not in spec:
        return build(OPTIMIZERS, spec, where, params=[parameter for _, parameter in named])
    groups = spec["groups"]
    if not isinstance(groups, Mapping) or not all(isinstance(given, Mapping) for given in groups.values()):
        raise OptionError(f"{where}.groups", "expected a mapping such as {encoder: {lr: 1.0e-5}}")
    members: dict[str, list[Parameter]] = {"": [], **{part: [] for part in groups}}
    for name, parameter in named:
        members[max((part for part in members if within(name, part)), key=len)].append(parameter)
    for part in groups:
        if not members[part]:
            near = did_you_mean(part, {name.split(".")[0] for name, _ in named})
            raise OptionError(f"{where}.groups.{part}", f"no parameter to train is in a part of that name{near}")
        # the group's arguments are checked as the whole spec's are
        own = {key: value for key, value in spec.items() if key != "groups"} | dict(groups[part])
        build(OPTIMIZERS, own, f"{where}.groups.{part}", params=members[part])
    rest = {key: value for key, value in spec.items() if key != "groups"}
    params = [{"params": held, **groups.get(part, {})} for part, held in members.items() if held]
    return build(OPTIMIZERS, rest, where, params=params)


def within(name: str, part: str) -> bool:
    """Whether a dotted name is that of a part of a network, or below it; "" is the whole."""
    return not part or f"{name}.".startswith(f"{part}.")


def build_scheduler(
    spec: dict[str, Any] | None, where: str, optimizer: torch.optim.Optimizer, total_iter: int, warmup_iter: int = 0
) -> "LRScheduler | WarmUp":
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
    scheduler = build(SCHEDULERS, spec, where, optimizer=optimizer)
    return WarmUp(scheduler, warmup_iter) if warmup_iter else scheduler


def wind(scheduler: "LRScheduler | WarmUp", iterations: int) -> None:
    """Takes a schedule from its start to where it stands after so many iterations, some microseconds each."""
    with warnings.catch_warnings(action="ignore"):  # of an optimizer that has not stepped
        for _ in range(iterations):
            scheduler.step()


class WarmUp:
    """A schedule whose rates are multiplied by 1/n, 2/n, ... 1 in the first n iterations; it goes on below as without.

    Args:
        scheduler: at its start.
        iterations: n.
    """

    def __init__(self, scheduler: LRScheduler, iterations: int) -> None:
        self.scheduler = scheduler
        self.iterations = iterations
        self._apply()

    def step(self) -> None:
        """To the next iteration."""
        for group, rate in zip(self.scheduler.optimizer.param_groups, self.scheduler.get_last_lr(), strict=True):
            group["lr"] = rate  # most schedules go on from the rate that they find
        self.scheduler.step()
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The rates in use."""
        return [group["lr"] for group in self.scheduler.optimizer.param_groups]

    def _apply(self) -> None:
        factor = min(1.0, (self.scheduler.last_epoch + 1) / self.iterations)
        for group, rate in zip(self.scheduler.optimizer.param_groups, self.scheduler.get_last_lr(), strict=True):
            group["lr"] = rate * factor
