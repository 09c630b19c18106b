"""What a stage minimises: the losses that its options name, on predictions and targets that are images in both stages."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

import realciao.losses  # noqa: F401  (fills the registry)
from realciao.batch import TrainBatch
from realciao.errors import OptionError
from realciao.options.run import Spec, Stage, is_adversarial
from realciao.registry import LOSS_REGISTRY, build

Losses = dict[str, Float[Tensor, ""]]

NAMES = {"pixel_opt": "pix", "perceptual_opt": "percep", "fft_opt": "fft", "color_opt": "color", "gan_opt": "gan"}
"""The keys for one loss each, and what the log calls it."""
TARGETS = ("gt", "usm", "teacher")
SHORT = {"PerceptualLoss": "percep", "GANLoss": "gan"}


class Term(NamedTuple):
    """One loss of a stage."""

    key: str
    """Its place below the stage, e.g. "pixel_opt" or "losses.0"."""
    name: str
    """In the log, e.g. "l_g_pix"."""
    spec: Spec
    """Without what is said beside the loss itself."""
    target: str
    """What it compares with: gt, usm (sharpened), or teacher."""


def terms(stage: Stage) -> list[Term]:
    """The losses of a stage, from both ways of giving them.

    Raises:
        OptionError: below the stage: a target that is none, or a name that is taken.
    """
    usm = {"pixel_opt": stage.l1_gt_usm, "perceptual_opt": stage.percep_gt_usm, "gan_opt": stage.gan_gt_usm}
    given: list[tuple[str, str, Spec]] = [
        (key, name, spec) for key, name in NAMES.items() if (spec := getattr(stage, key)) is not None
    ]
    for i, spec in enumerate(stage.losses):
        kind = str(spec.get("type"))
        given.append((f"losses.{i}", str(spec.get("name", SHORT.get(kind, kind.removesuffix("Loss").lower()))), spec))
    found: list[Term] = []
    for key, name, spec in given:
        if any(term.name == f"l_g_{name}" for term in found):
            raise OptionError(f"{key}.name", f"'{name}' is the name of another loss; give a name of its own")
        target = spec.get("target", "usm" if usm.get(key) else "gt")
        if target not in TARGETS:
            raise OptionError(f"{key}.target", f"expected {', '.join(TARGETS[:-1])} or {TARGETS[-1]}, got '{target}'")
        if target == "teacher" and stage.teacher is None:
            raise OptionError(f"{key}.target", "there is no teacher: name one, teacher: {model: realesrgan-x4plus}")
        beside = ("target", "name") if key.startswith("losses.") else ("target",)
        own = {word: value for word, value in spec.items() if word not in beside}
        found.append(Term(key, f"l_g_{name}", own, target))
    return found


class Objective(nn.Module):
    """The losses of one stage: l_g_NAME for the generator, by BasicSR's names l_g_pix, l_g_percep, l_g_gan, and l_d_real,
    l_d_fake for the discriminator.

    Args:
        stage: a loss that it does not name is not computed.
        where: the stage's place in the option file, e.g. "stages.1".
    """

    def __init__(self, stage: Stage, where: str) -> None:
        super().__init__()
        self.where = where
        try:
            self.terms = terms(stage)
        except OptionError as error:
            raise error.below(where) from error
        self.criteria = [build(LOSS_REGISTRY, term.spec, f"{where}.{term.key}") for term in self.terms]
        self.modules_ = nn.ModuleList(cri for cri in self.criteria if isinstance(cri, nn.Module))
        gan = [i for i, term in enumerate(self.terms) if is_adversarial(term.spec)]
        self.gan = gan[0] if gan else None
        if gan and stage.network_d is None:
            raise OptionError(
                f"{where}.{self.terms[gan[0]].key}", "judges by a discriminator, and there is no network_d"
            )

    def parts_by_path(self) -> dict[str, Any]:
        """Each loss by its place in the option file."""
        return {f"{self.where}.{term.key}": cri for term, cri in zip(self.terms, self.criteria, strict=True)}

    @property
    def targets(self) -> frozenset[str]:
        """What the losses compare with."""
        return frozenset(term.target for term in self.terms)

    def generator(self, pred: Float[Tensor, "b 3 hq wq"], batch: TrainBatch, net_d: nn.Module | None) -> Losses:
        """What the generator minimises the sum of; `net_d` is the unwrapped discriminator, whose parameters are frozen."""
        losses: Losses = {}
        for i, (term, criterion) in enumerate(zip(self.terms, self.criteria, strict=True)):
            if i == self.gan:
                assert net_d is not None
                loss = criterion(net_d(pred), True, is_disc=False)
            else:
                loss = criterion(pred, _target(batch, term.target))
            losses[term.name] = self._one_number(term.key, loss)
        return losses

    def _one_number(self, key: str, loss: Any) -> Float[Tensor, ""]:
        if not isinstance(loss, Tensor) or loss.ndim:
            given = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else f"{loss!r:.40}"
            raise OptionError(f"{self.where}.{key}", f"gives {given}, expected one number")
        return loss

    def discriminator_real(self, net_d: nn.Module, batch: TrainBatch) -> Float[Tensor, ""]:
        """l_d_real: what the discriminator pays for real images."""
        assert self.gan is not None
        return self.criteria[self.gan](net_d(_target(batch, self.terms[self.gan].target)), True, is_disc=True)

    def discriminator_fake(self, net_d: nn.Module, pred: Float[Tensor, "b 3 hq wq"]) -> Float[Tensor, ""]:
        """l_d_fake: what it pays for generated ones, through which no gradient reaches the generator."""
        assert self.gan is not None
        return self.criteria[self.gan](net_d(pred.detach()), False, is_disc=True)

    def guessing(self) -> float | None:
        """l_d_real + l_d_fake of a discriminator that says 0 to everything, as one does that cannot tell; None without one."""
        if self.gan is None:
            return None
        criterion, nothing = self.criteria[self.gan], torch.zeros(1, 1, 1, 1)
        return float(criterion(nothing, True, is_disc=True) + criterion(nothing, False, is_disc=True))


def _target(batch: TrainBatch, target: str) -> Float[Tensor, "b 3 hq wq"]:
    key = {"gt": "gt", "usm": "gt_usm", "teacher": "teacher"}[target]
    assert key in batch, "the data set is asked for every target that a loss wants, or the teacher makes it"
    return batch[key]
