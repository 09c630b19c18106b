"""One stage of a run: its networks, optimizers, losses and data, and the step that it repeats."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from realciao.batch import TrainBatch
from realciao.data import Needs, build_train_set
from realciao.errors import OptionError, UserError, did_you_mean
from realciao.options.run import Options
from realciao.registry import ARCH_REGISTRY, build
from realciao.training.ema import make_ema
from realciao.training.health import Health
from realciao.training.objective import Objective
from realciao.training.optim import build_optimizer, build_scheduler, wind
from realciao.training.teacher import LiveTeacher, find_teacher
from realciao.weights.checkpoint import load_weights
from realciao.weights.networks import borrowed, build_network
from realciao.weights.state import load_tensors

if TYPE_CHECKING:
    from accelerate import Accelerator

PREVIEW = 4
"""Samples, the first of the data set, whose colours are watched."""


class Weights(NamedTuple):
    """A generator's weights, and the file that they came from."""

    path: str | Path
    tensors: dict[str, Tensor]
    teacher: dict[str, str] | None = None
    """The teacher that the file names: see `Teacher.notes`."""

    @classmethod
    def read(cls, path: str | Path) -> "Weights":
        """Raises UserError where the file is no weights file."""
        net = load_weights(path)
        return cls(path, net.state_dict(), getattr(net, "teacher", None))


class _Means(dict[str, Tensor]):
    """Losses, detached, as means over `count` batches."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def add(self, losses: dict[str, Tensor]) -> None:
        """Those of one batch."""
        for name, loss in losses.items():
            part = loss.detach() / self.count
            self[name] = self[name] + part if name in self else part


class StageRun:
    """All that one stage trains with, on this process: built at once, so that a wrong spec is found before the first step.

    Raises:
        OptionError: a spec of the stage is wrong.
        UserError: its training photos cannot be used.
    """

    def __init__(self, options: Options, index: int) -> None:
        self.engine = options.engine
        self.stage = stage = options.stages[index]
        self.where = where = f"stages.{index}"
        torch.manual_seed(options.manual_seed)  # fresh weights are the same on every process
        self.net_g: Any = build_network(options.network_g, options.teacher_model)
        if not hasattr(self.net_g, "query_grid"):
            name = options.network_g["type"]
            raise OptionError("network_g.type", f"'{name}' knows no coordinates; expected a network such as CiaoSR")
        self.frozen = _freeze(self.net_g, stage.freeze, f"{where}.freeze")
        self.optim_g: Any = build_optimizer(stage.optim_g, f"{where}.optim_g", self.net_g.named_parameters())
        schedule = (stage.scheduler, f"{where}.scheduler")
        lengths = (stage.total_iter, stage.warmup_iter)
        self.schedulers = [build_scheduler(*schedule, self.optim_g, *lengths)]
        self.net_d: Any = None
        if stage.network_d is not None and stage.optim_d is not None:
            self.net_d = build(ARCH_REGISTRY, stage.network_d, f"{where}.network_d")
            self.optim_d: Any = build_optimizer(stage.optim_d, f"{where}.optim_d", self.net_d.named_parameters())
            self.schedulers.append(build_scheduler(*schedule, self.optim_d, *lengths))
        self.objective = Objective(stage, where)
        self.health = Health(stage, where, options.health, self.objective.guessing())
        self.dataset = build_train_set(
            stage.train_data.dataset,
            f"{where}.datasets.train",
            scale_range=options.scale_range,
            seed=options.manual_seed,
            gt_usm="usm" in self.objective.targets,
        )
        self.teacher = find_teacher(stage.teacher, where) if stage.teacher else None
        self.live_teacher: LiveTeacher | None = None
        self.scale_range = options.scale_range
        self.dataset_resumes = self._starts_from(self.dataset.kept_of)
        try:
            self.dataset.serve(
                Needs(self.objective.targets, self.teacher.sha256 if self.teacher else None, self.dataset_resumes)
            )
        except OptionError as error:
            raise error.below(f"{where}.datasets.train") from error
        self._preview: TrainBatch | None = None

    def _starts_from(self, sha256: str | None) -> bool:
        """Whether the generator's encoder is this teacher's frozen trunk, and can start from a map that it made before."""
        encoder = self.net_g.encoder
        own = getattr(self.net_g, "trunk", {}).get("sha256")
        return sha256 is not None and own == sha256 and encoder.keeps and _is_still(encoder)

    def start(self, accelerator: "Accelerator", weights: Weights | None) -> None:
        """Goes to the device, with the generator's weights where they are given.

        Raises:
            UserError: they are another network's.
        """
        if weights:
            try:
                load_tensors(self.net_g, weights.tensors)
            except UserError as error:
                raise UserError(f"{weights.path}: {error}") from error
        learns = self.teacher is not None and "teacher" in self.objective.targets
        taught_by = self.teacher.notes() if self.teacher and learns else weights.teacher if weights else None
        if taught_by:  # what the files of weights will say
            self.net_g.teacher = taught_by
        self.accelerator = accelerator
        self.ema = make_ema(self.net_g, self.stage.ema_decay, self.stage.ema_warmup)
        self.ema.to(accelerator.device)
        self.objective.to(accelerator.device)
        if self.teacher and self.stage.teacher and "teacher" in self.objective.targets and not self.dataset.teaches:
            shares_trunk = self._starts_from(self.teacher.sha256)
            self.live_teacher = LiveTeacher(self.teacher, self.stage.teacher, accelerator.device, shares_trunk)
        self.raw_g, self.raw_d = self.net_g, self.net_d
        self.borrowed = frozenset(borrowed(self.raw_g)) if _is_still(self.raw_g.encoder) else frozenset[str]()
        self.net_g = self._prepare(self.net_g)
        if self.net_d is not None:
            self.net_d = self._prepare(self.net_d)

    def _prepare(self, net: nn.Module) -> Any:
        """Takes the network to the device; what comes back is wrapped for several processes."""
        if self.engine.channels_last:
            net = net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        wrapped = self.accelerator.prepare(net)
        if self.engine.compile is not None:
            net.compile(**self.engine.compile)  # in place: names and checkpoints stay what they are
        return wrapped

    def step(self, loaded: Sequence[Any], iteration: int) -> dict[str, Tensor]:
        """One iteration, the `iteration`-th of the stage from 0: generator, discriminator, schedules, average.

        Args:
            loaded: batches of the loader, on the device; the gradient is the mean of theirs.
            iteration: of the stage.

        Returns:
            The losses, detached, as means over the batches.

        Raises:
            Unhealthy: too much has gone wrong, see `realciao.training.health`.
        """
        stage = self.stage
        batches = [self._finish(batch) for batch in loaded]
        if self.engine.channels_last:
            batches = [
                cast(TrainBatch, {**b, "lq": b["lq"].contiguous(memory_format=torch.channels_last)}) for b in batches
            ]
        means = _Means(len(batches))
        moves_g = iteration >= stage.net_d_init_iters and iteration % stage.net_d_iters == 0
        preds = [
            self._generate(batch, moves_g, last=i == len(batches) - 1, means=means) for i, batch in enumerate(batches)
        ]
        if moves_g:
            self._update("network_g", self.net_g, self.optim_g, sum(means.values()), iteration)
        if self.net_d is not None:
            self.net_d.requires_grad_(True)
            for i, (batch, pred) in enumerate(zip(batches, preds, strict=True)):
                self._discriminate(batch, pred, last=i == len(batches) - 1, means=means)
            loss = means["l_d_real"] + means["l_d_fake"]
            self.health.judge_discriminator(self._update("network_d", self.net_d, self.optim_d, loss, iteration))
        for scheduler in self.schedulers:
            scheduler.step()
        self.ema.update_parameters(self.raw_g)
        return means

    def _finish(self, loaded: Any) -> TrainBatch:
        """A batch as the losses see it, with the teacher's target where a loss wants it and the data set has none."""
        batch = self.dataset.finish(loaded)
        return self.live_teacher.add_to(batch) if self.live_teacher else batch

    def _generate(self, batch: TrainBatch, moves_g: bool, last: bool, means: _Means) -> Tensor:
        """The prediction for a batch, detached, after its share of the generator's gradient."""
        with torch.set_grad_enabled(moves_g), self._alone(self.net_g, not last):
            pred = self._predict(self.net_g, batch)
            if moves_g:
                # the loss flows through the discriminator, which stands still: unwrapped, so no process waits for another
                judge = None if self.raw_d is None else self.raw_d.requires_grad_(False)
                self._backward(self.objective.generator(pred, batch, judge), means)
        return pred.detach()

    @staticmethod
    def _predict(net: nn.Module, batch: TrainBatch) -> Tensor:
        kept = {"kept": batch["kept"]} if "kept" in batch else {}
        return net(batch["lq"], batch["coord"], batch["cell"], **kept)

    def _discriminate(self, batch: TrainBatch, pred: Tensor, last: bool, means: _Means) -> None:
        """A batch's share of the discriminator's gradient."""
        # one pass at a time: spectral normalisation changes its buffers in each
        with self._alone(self.net_d, True):
            self._backward({"l_d_real": self.objective.discriminator_real(self.net_d, batch)}, means)
        with self._alone(self.net_d, not last):
            self._backward({"l_d_fake": self.objective.discriminator_fake(self.net_d, pred)}, means)

    def _backward(self, losses: dict[str, Tensor], means: _Means) -> None:
        self.accelerator.backward(sum(losses.values()) / means.count)
        means.add(losses)

    def _alone(self, net: nn.Module, alone: bool) -> Any:
        """Passes in which gradients are added up on this process, and not yet over all."""
        return self.accelerator.no_sync(net) if alone else contextlib.nullcontext()

    def _update(self, name: str, net: nn.Module, optimizer: Any, loss: Any, iteration: int) -> float:
        """Moves a network along its gradient, if that is sound; returns its loss over all processes."""
        scaler = self.accelerator.scaler
        if scaler is not None:
            scaler.unscale_(optimizer)
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        norm = get_total_norm(gradients)
        # a loss that is not finite makes the norm so too; one trip to the device for both
        norm, loss = cast(Tensor, self.accelerator.reduce(torch.stack([norm + 0 * loss, loss]), "mean")).tolist()
        overflow = scaler is not None and not math.isfinite(norm) and scaler.get_scale() > 1
        if overflow or self.health.allows(name, norm, iteration):
            if self.stage.grad_clip is not None:
                clip_grads_with_norm_(
                    net.parameters(), self.stage.grad_clip, torch.tensor(norm, device=gradients[0].device)
                )
            # where fp16 overflows, its scaler lowers the scale instead
            optimizer.step() if scaler is None else scaler.step(optimizer)
        if scaler is not None:
            scaler.update()
        optimizer.zero_grad()
        return loss

    def load_preview(self) -> None:
        """Makes the samples that `judge_colors` looks at."""
        items = self.dataset.finish(self.dataset.first(PREVIEW)).items()
        self._preview = cast(TrainBatch, {key: cast(Tensor, value).to(self.accelerator.device) for key, value in items})

    @torch.no_grad()
    def judge_colors(self) -> None:
        """Looks at the colours of the preview. Raises Unhealthy when they have been off for too long."""
        preview = self._preview
        assert preview is not None, "load_preview comes before"
        net = self.raw_g.eval()
        pred = self._predict(net, preview)
        self.set_train()
        self.health.judge_colors(pred, preview["gt"])

    def describe(self) -> Iterator[str]:
        """What is trained, and by which teacher, a line each."""
        parameters = list(self.raw_g.parameters())
        trained = sum(p.numel() for p in parameters if p.requires_grad)
        total = sum(p.numel() for p in parameters)
        of = "" if trained == total else f", {trained:,} of them trained"
        yield f"network_g: {total:,} parameters{of}, on {self.accelerator.device}"
        if self.teacher and "teacher" in self.objective.targets:
            where = "runs in each step" if self.live_teacher else "its results are read from the data set"
            yield f"teacher: {self.teacher.name}, x{self.teacher.scale}, {where}"
            if self.scale_range[1] > self.teacher.scale:
                share = (self.scale_range[1] - self.teacher.scale) / max(
                    1e-9, self.scale_range[1] - self.scale_range[0]
                )
                yield f"teacher: above x{self.teacher.scale} the target is gt ({min(1, share):.0%} of the scale range)"
            if self.dataset_resumes:
                yield "teacher: its trunk's maps are read from the data set, and the trunk does not run"

    def set_train(self) -> None:
        """Training mode, but for what is frozen."""
        self.raw_g.train()
        for part in self.frozen:
            part.eval()

    def parts_by_path(self) -> dict[str, Any]:
        """What the specs have become, by their places in the option file."""
        parts = {"optim_g": self.optim_g, "scheduler": self.schedulers[0]}
        parts |= {"network_d": self.raw_d, "optim_d": self.optim_d} if self.net_d is not None else {}
        own = {f"{self.where}.{key}": part for key, part in parts.items()} | self.objective.parts_by_path()
        networks = {
            "network_g": self.raw_g,
            "network_g.encoder": self.raw_g.encoder,
            "network_g.decoder": self.raw_g.decoder,
        }
        return networks | own

    @property
    def _parts(self) -> dict[str, Any]:
        parts = {"net_g": self.raw_g, "ema": self.ema, "optim_g": self.optim_g, "health": self.health}
        if self.net_d is not None:
            parts |= {"net_d": self.raw_d, "optim_d": self.optim_d}
        return parts | ({"scaler": self.accelerator.scaler} if self.accelerator.scaler else {})

    def state_dict(self) -> dict[str, Any]:
        """All that the stage goes on from, without a frozen trunk's tensors that are read from the teacher's wheel again."""
        state = {name: part.state_dict() for name, part in self._parts.items()}
        for name in self.borrowed:
            del state["net_g"][name], state["ema"][f"module.{name}"]
        return state | ({"teacher_sha256": self.teacher.sha256} if self.teacher else {})

    def load_state_dict(self, state: dict[str, Any], iteration: int) -> None:
        """Goes on where another left off after so many iterations, with the rates and settings of its own options.

        Raises:
            UserError: the state is that of a run with other networks.
        """
        parts = self._parts
        if "scaler" not in state:  # the precision has changed, and what scales starts anew
            parts.pop("scaler", None)
        if missing := parts.keys() - state.keys():
            raise UserError(f"the checkpoint holds no {', '.join(sorted(missing))}: its options have changed")
        if self.teacher and state.get("teacher_sha256", self.teacher.sha256) != self.teacher.sha256:
            raise UserError(
                f"{self.teacher.path}: is not the file that the run began with (its SHA-256 is another); put that one back, or "
                "start again with --overwrite"
            )
        own = self.raw_g.state_dict()
        state["net_g"] |= {name: own[name] for name in self.borrowed}
        state["ema"] |= {f"module.{name}": own[name] for name in self.borrowed}
        for name, part in parts.items():
            if isinstance(part, nn.Module) and part is not self.ema:
                load_tensors(part, state[name])
            elif name.startswith("optim_"):
                _load_moments(part, state[name])
            else:
                part.load_state_dict(state[name])
        for scheduler in self.schedulers:
            wind(scheduler, iteration)


def _load_moments(optimizer: Any, state: dict[str, Any]) -> None:
    """Takes what an optimizer remembers of its parameters from a state, and leaves rates and settings as they are."""
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)


def _is_still(part: nn.Module) -> bool:
    """Whether nothing of it is trained."""
    return not any(p.requires_grad for p in part.parameters())


def _freeze(net: nn.Module, parts: Sequence[str], where: str) -> list[nn.Module]:
    """Lets parts of a network stand still, in eval mode; returns them."""
    frozen = []
    for part in parts:
        try:
            frozen.append(net.get_submodule(part).requires_grad_(False).eval())
        except AttributeError as error:
            near = did_you_mean(part, [name for name, _ in net.named_modules() if name])
            raise OptionError(where, f"network_g has no part '{part}'{near}") from error
    return frozen
