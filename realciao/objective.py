"""What a stage minimises: the losses that its options name, on predictions and targets that are images in both stages."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

import realciao.losses  # noqa: F401  (fills the registry)
from realciao.batch import TrainBatch
from realciao.errors import OptionError
from realciao.options import Spec, Stage
from realciao.registry import LOSS_REGISTRY, build

Losses = dict[str, Float[Tensor, ""]]


class Objective(nn.Module):
    """The losses of one stage, by BasicSR's names: l_g_pix, l_g_percep, l_g_gan for the generator, l_d_real, l_d_fake for the
    discriminator.

    Args:
        stage: a `*_opt` that is None is a loss that is not computed.
        where: the stage's place in the option file, e.g. "stages.1".
    """

    def __init__(self, stage: Stage, where: str) -> None:
        super().__init__()
        self.stage = stage
        self.where = where
        self.cri_pix = _build(stage.pixel_opt, f"{where}.pixel_opt")
        self.cri_perceptual = _build(stage.perceptual_opt, f"{where}.perceptual_opt")
        self.cri_gan = _build(stage.gan_opt, f"{where}.gan_opt")

    def generator(self, pred: Float[Tensor, "b 3 hq wq"], batch: TrainBatch, net_d: nn.Module | None) -> Losses:
        """What the generator minimises the sum of; `net_d` is the unwrapped discriminator, whose parameters are frozen."""
        losses: Losses = {}
        if self.cri_pix:
            loss = self.cri_pix(pred, _target(batch, self.stage.l1_gt_usm))
            losses["l_g_pix"] = self._one_number("pixel_opt", loss)
        if self.cri_perceptual:
            loss = self.cri_perceptual(pred, _target(batch, self.stage.percep_gt_usm))
            losses["l_g_percep"] = self._one_number("perceptual_opt", loss)
        if self.cri_gan and net_d is not None:
            losses["l_g_gan"] = self._one_number("gan_opt", self.cri_gan(net_d(pred), True, is_disc=False))
        return losses

    def _one_number(self, key: str, loss: Any) -> Float[Tensor, ""]:
        if not isinstance(loss, Tensor) or loss.ndim:
            given = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else f"{loss!r:.40}"
            raise OptionError(f"{self.where}.{key}", f"gives {given}, expected one number")
        return loss

    def discriminator_real(self, net_d: nn.Module, batch: TrainBatch) -> Float[Tensor, ""]:
        """l_d_real: what the discriminator pays for real images."""
        return self.cri_gan(net_d(_target(batch, self.stage.gan_gt_usm)), True, is_disc=True)

    def discriminator_fake(self, net_d: nn.Module, pred: Float[Tensor, "b 3 hq wq"]) -> Float[Tensor, ""]:
        """l_d_fake: what it pays for generated ones, through which no gradient reaches the generator."""
        return self.cri_gan(net_d(pred.detach()), False, is_disc=True)


def needs_usm(stage: Stage) -> bool:
    """Whether a loss of the stage wants the sharpened target."""
    return stage.l1_gt_usm or stage.percep_gt_usm or stage.gan_gt_usm


def _target(batch: TrainBatch, usm: bool) -> Float[Tensor, "b 3 hq wq"]:
    if not usm:
        return batch["gt"]
    assert "gt_usm" in batch, "the data set is asked for the sharpened target where a loss wants it"
    return batch["gt_usm"]


def _build(spec: Spec | None, where: str) -> Any:
    return build(LOSS_REGISTRY, spec, where) if spec else None
