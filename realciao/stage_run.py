"""One stage of a run: its networks, optimizers, losses and data, and the step that it repeats."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from realciao.archs import build_network
from realciao.batch import TrainBatch
from realciao.checkpoint import load_tensors, load_weights
from realciao.data import build_train_set
from realciao.errors import OptionError, UserError
from realciao.objective import Objective, needs_usm
from realciao.optim import build_optimizer, build_scheduler
from realciao.options import Options
from realciao.registry import ARCH_REGISTRY, build

if TYPE_CHECKING:
    from accelerate import Accelerator


class Weights(NamedTuple):
    """A generator's weights, and the file that they came from."""

    path: str | Path
    tensors: dict[str, Tensor]

    @classmethod
    def read(cls, path: str | Path) -> "Weights":
        """Raises UserError where the file is no weights file."""
        return cls(path, load_weights(path).state_dict())


class StageRun:
    """All that one stage trains with, on this process: built at once, so that a wrong spec is found before the first step.

    Raises:
        OptionError: a spec of the stage is wrong.
        UserError: its training photos cannot be used.
    """

    def __init__(self, options: Options, index: int) -> None:
        self.stage = stage = options.stages[index]
        self.where = where = f"stages.{index}"
        torch.manual_seed(options.manual_seed)  # fresh weights are the same on every process
        self.net_g: Any = build_network(options.network_g)
        if not hasattr(self.net_g, "query_grid"):
            name = options.network_g["type"]
            raise OptionError("network_g.type", f"'{name}' knows no coordinates; expected a network such as CiaoSR")
        self.optim_g: Any = build_optimizer(stage.optim_g, f"{where}.optim_g", self.net_g.parameters())
        self.schedulers = [build_scheduler(stage.scheduler, f"{where}.scheduler", self.optim_g, stage.total_iter)]
        self.net_d: Any = None
        if stage.network_d is not None and stage.optim_d is not None:
            self.net_d = build(ARCH_REGISTRY, stage.network_d, f"{where}.network_d")
            self.optim_d: Any = build_optimizer(stage.optim_d, f"{where}.optim_d", self.net_d.parameters())
            self.schedulers.append(
                build_scheduler(stage.scheduler, f"{where}.scheduler", self.optim_d, stage.total_iter)
            )
        self.objective = Objective(stage, where)
        self.dataset = build_train_set(
            stage.train_data.dataset,
            f"{where}.datasets.train",
            scale_range=options.scale_range,
            seed=options.manual_seed,
            gt_usm=needs_usm(stage),
        )

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
        self.ema = AveragedModel(self.net_g, multi_avg_fn=get_ema_multi_avg_fn(self.stage.ema_decay))
        self.ema.to(accelerator.device)
        self.objective.to(accelerator.device)
        self.net_g, self.optim_g = accelerator.prepare(self.net_g, self.optim_g)
        if self.net_d is not None:
            self.net_d, self.optim_d = accelerator.prepare(self.net_d, self.optim_d)
        self.accelerator = accelerator

    def step(self, batch: TrainBatch, iteration: int) -> dict[str, Tensor]:
        """One iteration, the `iteration`-th of the stage from 0: generator, discriminator, schedules, average.

        Returns:
            The losses, detached.
        """
        stage, backward = self.stage, self.accelerator.backward
        losses: dict[str, Tensor] = {}
        moves_g = iteration >= stage.net_d_init_iters and iteration % stage.net_d_iters == 0
        with torch.set_grad_enabled(moves_g):
            pred = self.net_g(batch["lq"], batch["coord"], batch["cell"])
        if moves_g:
            # the loss flows through the discriminator, which stands still: unwrapped, so that no process waits for another
            judge = None if self.net_d is None else self.accelerator.unwrap_model(self.net_d).requires_grad_(False)
            losses |= self.objective.generator(pred, batch, judge)
            backward(sum(losses.values()))
            self.optim_g.step()
            self.optim_g.zero_grad()
        if self.net_d is not None:
            self.net_d.requires_grad_(True)
            # one at a time: spectral normalisation changes its buffers in each pass
            losses["l_d_real"] = self.objective.discriminator_real(self.net_d, batch)
            backward(losses["l_d_real"])
            losses["l_d_fake"] = self.objective.discriminator_fake(self.net_d, pred)
            backward(losses["l_d_fake"])
            self.optim_d.step()
            self.optim_d.zero_grad()
        for scheduler in self.schedulers:
            scheduler.step()
        self.ema.update_parameters(self.accelerator.unwrap_model(self.net_g))
        return {name: loss.detach() for name, loss in losses.items()}

    def parts_by_path(self) -> dict[str, Any]:
        """What the specs have become, by their places in the option file."""
        objective = self.objective
        parts = {"optim_g": self.optim_g, "scheduler": self.schedulers[0], "pixel_opt": objective.cri_pix}
        parts |= {"perceptual_opt": objective.cri_perceptual, "gan_opt": objective.cri_gan, "network_d": self.net_d}
        parts |= {"optim_d": self.optim_d} if self.net_d is not None else {}
        own = {f"{self.where}.{key}": part for key, part in parts.items() if part is not None}
        networks = {
            "network_g": self.net_g,
            "network_g.encoder": self.net_g.encoder,
            "network_g.decoder": self.net_g.decoder,
        }
        return networks | own

    @property
    def _parts(self) -> dict[str, Any]:
        unwrap = self.accelerator.unwrap_model
        parts = {"net_g": unwrap(self.net_g), "ema": self.ema, "optim_g": self.optim_g}
        if self.net_d is not None:
            parts |= {"net_d": unwrap(self.net_d), "optim_d": self.optim_d}
        parts |= {f"scheduler_{i}": scheduler for i, scheduler in enumerate(self.schedulers)}
        return parts | ({"scaler": self.accelerator.scaler} if self.accelerator.scaler else {})

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises UserError where the state is of a run with other options."""
        parts = self._parts
        if parts.keys() != state.keys():
            raise UserError(f"the checkpoint holds {sorted(state)}, this run {sorted(parts)}: its options have changed")
        for name, part in parts.items():
            if isinstance(part, nn.Module) and part is not self.ema:
                load_tensors(part, state[name])
            else:
                part.load_state_dict(state[name])
