"""Whether a run is well: gradients, the discriminator, the colours of a few fixed samples; and what to do where it is not.

What goes wrong is counted, and an update that would do harm is left out. Beyond the budget of the options' `health` the run is
stopped; the last state that was saved in good health is kept.
"""

import logging
import math
from typing import Any

from jaxtyping import Float
from torch import Tensor

from realciao.errors import UserError
from realciao.options.run import Health as Limits
from realciao.options.run import Stage

logger = logging.getLogger("realciao")

WINDOW = 1000
"""Iterations over which skipped updates are counted."""
USUAL_AFTER = 100
"""Updates before a norm can be called unusual."""
MEMORY = 0.99
"""Share of the past in the usual norm (a geometric mean)."""
COLLAPSED = 0.01
"""Share of a guessing discriminator's loss under which it has won for good, and teaches the generator nothing."""
SHIFT = 0.15
"""Mean difference of an image's mean colour from its ground truth's, in [0, 1], from which on colours have drifted."""
FADED = 0.25
"""Share of the ground truth's saturation, or contrast, under which images are grey, or flat."""
SMALLEST_ENCODER = "{type: SmallEncoder, num_feat: 16, num_block: 4}"
"""What is left where nothing else can be lowered, in the words of an option file."""
VISIBLE = 0.02
"""Saturation or contrast, in [0, 1], of a ground truth that has enough of it to be lost."""


class Unhealthy(UserError):  # noqa: N818  (a state of the run)
    """The run is past its budget of things that went wrong; the message says which and names the cure."""


class Health:
    """Counts what goes wrong in one stage. Every process counts the same, from numbers that all have.

    Args:
        stage: named in messages, with the cure that it allows.
        where: the stage's place in the option file, e.g. "stages.1".
        limits: the budgets.
        guessing: the loss, on real and generated images together, of a discriminator that cannot tell them apart; None where
            there is none.
    """

    def __init__(self, stage: Stage, where: str, limits: Limits, guessing: float | None = None) -> None:
        self.stage = stage
        self.where = where
        self.limits = limits
        self.guessing = guessing
        self.usual: dict[str, float] = {}
        self.updates: dict[str, int] = {}
        self.skipped: list[int] = []
        self.total_skipped = 0
        self.collapsed = 0
        self.off_color = 0
        self.seen_well = False

    @property
    def is_well(self) -> bool:
        """Whether a state that is saved now is one to go back to. Skipped updates leave no trace in the weights."""
        return not self.collapsed and not self.off_color

    def allows(self, network: str, norm: float, iteration: int) -> bool:
        """Whether to update a network ("network_g", "network_d") whose gradient has this norm; NaN is no norm.

        Raises:
            Unhealthy: too many were skipped.
        """
        usual = math.exp(self.usual.get(network, 0.0))
        count = self.updates.get(network, 0)
        if math.isfinite(norm) and (count < USUAL_AFTER or norm <= self.limits.grad_factor * usual):
            past = MEMORY if count >= USUAL_AFTER else count / (count + 1)
            self.usual[network] = past * self.usual.get(network, 0.0) + (1 - past) * math.log(max(norm, 1e-30))
            self.updates[network] = count + 1
            return True
        found = f"{norm / usual:.0f} times as large as usual" if math.isfinite(norm) else "not finite"
        self.skipped = [*(past for past in self.skipped if past > iteration - WINDOW), iteration]
        self.total_skipped += 1
        optim = "optim_g" if network == "network_g" else "optim_d"
        usually = f" (usual norm {usual:.3g})" if count else ""
        logger.warning("iteration %d: the gradient of %s is %s: update skipped", iteration + 1, network, found)
        if len(self.skipped) > self.limits.max_skipped:
            raise Unhealthy(
                f"{self.where}: {len(self.skipped)} updates of the last {WINDOW} iterations were skipped, the last "
                f"because the gradient of {network} was {found}{usually}: set {self.where}.grad_clip="
                f"{_clip(usual if count else 1.0):g}, or lower {self.where}.{optim}.lr; with fp16, take "
                "engine.mixed_precision=bf16"
            )
        return False

    def judge_discriminator(self, loss: float) -> None:
        """Takes note of the discriminator's loss on real and generated images together.

        Raises:
            Unhealthy: it has told them apart without fault for too long.
        """
        won = self.guessing is not None and loss < COLLAPSED * self.guessing
        self.collapsed = self.collapsed + 1 if won else 0
        if self.collapsed > self.limits.max_collapsed:
            raise Unhealthy(
                f"{self.where}: the discriminator has collapsed: for {self.collapsed} iterations its loss was under "
                f"{COLLAPSED:.0%} of what guessing costs, so the generator learns nothing from it: lower "
                f"{self.where}.optim_d.lr or the weight of the adversarial loss, and start with net_d_init_iters: 0"
            )

    def judge_colors(self, pred: Float[Tensor, "b 3 hq wq"], gt: Float[Tensor, "b 3 hq wq"]) -> None:
        """Compares the colours of the preview with their ground truth; once they have been right, they must stay so.

        Raises:
            Unhealthy: they were off for too many looks in a row.
        """
        fault = color_fault(pred, gt)
        self.seen_well = self.seen_well or not fault
        self.off_color = self.off_color + 1 if fault and self.seen_well else 0
        if self.off_color:
            logger.warning("preview: %s", fault)
        if self.off_color > self.limits.max_off_color:
            raise Unhealthy(
                f"{self.where}: the preview samples' colours are off for {self.off_color} looks in a row ({fault}): add "
                f"{self.where}.color_opt={{type: LowFrequencyColorLoss}}, raise the weight of the pixel loss, or lower "
                f"{self.where}.optim_g.lr"
            )

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: value for name, value in vars(self).items() if name not in _SETTINGS}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on counting where another left off."""
        vars(self).update(state)


_SETTINGS = ("stage", "where", "limits", "guessing")


def color_fault(pred: Float[Tensor, "b 3 hq wq"], gt: Float[Tensor, "b 3 hq wq"]) -> str:
    """What is wrong with the colours of a prediction, "" if nothing is."""
    pred, gt = pred.float(), gt.float()
    shift = float((pred.mean((2, 3)) - gt.mean((2, 3))).abs().mean())
    if not shift <= SHIFT:
        return f"colours have drifted by {shift:.2f}"
    for lost, spread in (("grey", _saturation), ("flat", _contrast)):
        there, made = spread(gt), spread(pred)
        if there > VISIBLE and made < FADED * there:
            return f"images are {lost}: {made / there:.0%} of the ground truth's {spread.__name__.strip('_')}"
    return ""


def out_of_memory(stage: Stage, where: str, processes: int) -> UserError:
    """What to lower, and to which value, where a step of a stage did not fit."""
    data, path = stage.train_data, f"{where}.datasets.train"
    if data.batch_size > 1:
        small = data.batch_size // 2
        parts = -(-stage.accum_iter * data.batch_size // small)
        cure = f"{path}.batch_size={small} {where}.accum_iter={parts}"
        images = small * parts * processes
        why = (
            f"{images} images an iteration as before"
            if small * 2 == data.batch_size
            else f"{images} images an iteration"
        )
    else:
        window, patch = (data.dataset.get(key) for key in ("window", "lq_size"))
        if isinstance(window, int) and window > 8:
            cure, why = f"{path}.window={max(8, window // 16 * 8)}", "a batch of one is as small as it gets"
        elif isinstance(patch, int) and patch > 1:
            points = min(int(data.dataset.get("sample_q") or 1), (patch // 2) ** 2)
            cure = f"{path}.lq_size={patch // 2} {path}.sample_q={points}"
            why = "a batch of one is as small as it gets"
        else:
            cure, why = f"'network_g.encoder={SMALLEST_ENCODER}'", "a smaller network, for a run begun anew"
    return UserError(f"{where}: out of memory with batch_size {data.batch_size}: --set {cure} ({why})")


def _clip(usual: float) -> float:
    """A norm to clip at, of one digit: a little above the usual one."""
    return float(f"{2 * usual:.0e}")


def _saturation(image: Float[Tensor, "b 3 h w"]) -> float:
    return float(image.std(1, correction=0).mean())


def _contrast(image: Float[Tensor, "b 3 h w"]) -> float:
    return float(image.mean(1).std((1, 2), correction=0).mean())
