"""What a stage minimises: the losses that its options name, on predictions and targets that are images in both stages."""

from jaxtyping import Float
from torch import Tensor, nn

import realciao.losses  # noqa: F401  (fills the registry)
from realciao.batch import TrainBatch
from realciao.options import Stage
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
        for name in ("pixel_opt", "perceptual_opt", "gan_opt"):
            spec = getattr(stage, name)
            setattr(self, name, spec and build(LOSS_REGISTRY, spec, f"{where}.{name}"))

    def generator(self, pred: Float[Tensor, "b 3 hq wq"], batch: TrainBatch, net_d: nn.Module | None) -> Losses:
        """What the generator minimises the sum of; `net_d` is the unwrapped discriminator, whose parameters are frozen."""
        losses: Losses = {}
        if self.pixel_opt is not None:
            losses["l_g_pix"] = self.pixel_opt(pred, _target(batch, self.stage.l1_gt_usm))
        if self.perceptual_opt is not None:
            losses["l_g_percep"] = self.perceptual_opt(pred, _target(batch, self.stage.percep_gt_usm))
        if net_d is not None:
            losses["l_g_gan"] = self.gan_opt(net_d(pred), True, is_disc=False)
        return losses

    def discriminate_real(self, net_d: nn.Module, batch: TrainBatch) -> Losses:
        """What the discriminator pays for real images."""
        return {"l_d_real": self.gan_opt(net_d(_target(batch, self.stage.gan_gt_usm)), True, is_disc=True)}

    def discriminate_fake(self, net_d: nn.Module, pred: Float[Tensor, "b 3 hq wq"]) -> Losses:
        """What the discriminator pays for generated images, through which no gradient reaches the generator."""
        return {"l_d_fake": self.gan_opt(net_d(pred.detach()), False, is_disc=True)}


def needs_usm(stage: Stage) -> bool:
    """Whether a loss of the stage wants the sharpened target."""
    return stage.l1_gt_usm or stage.percep_gt_usm or stage.gan_gt_usm


def _target(batch: TrainBatch, usm: bool) -> Float[Tensor, "b 3 hq wq"]:
    return batch["gt_usm"] if usm else batch["gt"]
