"""BasicSR's PerceptualLoss, with a choice of where VGG's weights come from, and one number out."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import basicsr.archs.vgg_arch
import torch
import torchvision
from basicsr.losses.basic_loss import PerceptualLoss as BasicSRPerceptualLoss
from jaxtyping import Float
from torch import Tensor, nn

from realciao.errors import UserError
from realciao.registry import LOSS_REGISTRY

logger = logging.getLogger("realciao")


# BasicSR's own suffix rule for names that clash; `realciao.registry` prefers this one
@LOSS_REGISTRY.register(suffix="realciao")
class PerceptualLoss(BasicSRPerceptualLoss):
    """Distance of VGG features before their activations, plus that of their Gram matrices where style_weight asks for it.

    Args:
        layer_weights: weight of each layer, e.g. {conv1_2: 0.1, conv2_2: 0.1, conv3_4: 1, conv4_4: 1, conv5_4: 1}.
        vgg_weights: "imagenet" (torchvision's, downloaded once), a path to that file, or "random": untrained features, which
            measure little of what a person sees and are meant for trying things out without a network.
        vgg_type: vgg11 ... vgg19.
        use_input_norm: normalises with ImageNet's mean and deviation; images are in [0, 1].
        perceptual_weight, style_weight: weights of the two parts.
        criterion: "l1" or "fro".

    Raises:
        UserError: the weights cannot be had; says which file to put where.
    """

    def __init__(
        self,
        layer_weights: dict[str, float],
        vgg_weights: str = "imagenet",
        vgg_type: str = "vgg19",
        use_input_norm: bool = True,
        perceptual_weight: float = 1.0,
        style_weight: float = 0.0,
        criterion: str = "l1",
    ) -> None:
        names = basicsr.archs.vgg_arch.NAMES
        if vgg_type not in names:
            raise ValueError(f"vgg_type must be one of {', '.join(names)}, got '{vgg_type}'")
        unknown = [layer for layer in layer_weights if layer not in names[vgg_type]]
        if unknown or not layer_weights:
            raise ValueError(f"layer_weights: {vgg_type} has no layer {unknown}; e.g. conv1_2, conv5_4")
        if perceptual_weight <= 0 and style_weight <= 0:
            raise ValueError("perceptual_weight and style_weight are both 0; leave the loss out instead")
        with _vgg_is(_make_vgg(vgg_type, vgg_weights)):
            super().__init__(
                layer_weights,
                vgg_type,
                use_input_norm,
                perceptual_weight=perceptual_weight,
                style_weight=style_weight,
                criterion=criterion,
            )

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]  (BasicSR's returns the parts)
        self, x: Float[Tensor, "b 3 h w"], gt: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, ""]:
        """The weighted sum of both parts, for a prediction `x`."""
        return torch.stack([part for part in super().forward(x, gt) if isinstance(part, Tensor)]).sum()


def _make_vgg(vgg_type: str, vgg_weights: str) -> nn.Module:
    make = getattr(torchvision.models, vgg_type)
    if vgg_weights == "random":
        logger.warning("perceptual loss: VGG with RANDOM weights, for smoke runs only; its features mean little")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return make(weights=None)
    if vgg_weights == "imagenet":
        weights = torchvision.models.get_model_weights(vgg_type)["IMAGENET1K_V1"]
        name, folder = Path(weights.url).name, Path(torch.hub.get_dir()) / "checkpoints"
        try:
            return make(weights=weights)
        except (URLError, OSError, RuntimeError) as error:
            raise UserError(
                f"could not fetch VGG's weights ({error}): put {name} into {folder}, or set perceptual_opt.vgg_weights "
                "to its path (or to 'random' for a smoke run)"
            ) from error
    if not Path(vgg_weights).is_file():
        raise UserError(f"vgg_weights: no such file: '{vgg_weights}' (a path, 'imagenet' or 'random')")
    vgg = make(weights=None)
    try:
        vgg.load_state_dict(torch.load(vgg_weights, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises whatever the damage leads to
        raise UserError(f"vgg_weights: '{vgg_weights}' does not hold {vgg_type}'s weights") from error
    return vgg


@contextlib.contextmanager
def _vgg_is(vgg: nn.Module) -> Iterator[None]:
    """Lets BasicSR's feature extractor, which asks torchvision for a pretrained VGG by name, find this one."""
    module = basicsr.archs.vgg_arch
    torchvision_vgg, path = module.vgg, module.VGG_PRETRAIN_PATH
    module.vgg = SimpleNamespace(**{name: lambda pretrained: vgg for name in module.NAMES})
    module.VGG_PRETRAIN_PATH = ""  # or it would unpickle a file of that name in the current folder
    try:
        yield
    finally:
        module.vgg, module.VGG_PRETRAIN_PATH = torchvision_vgg, path
