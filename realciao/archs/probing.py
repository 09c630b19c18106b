"""Where a network for one scale can be cut, found by running it: what its convolutions receive, and at which size."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from realciao.errors import UserError

MULTIPLES = (1, 2, 4)
"""Tried in turn for height and width: networks that fold pixels into channels (RRDBNet x2) take only multiples."""


class Place(NamedTuple):
    """A convolution, and the map that it receives."""

    name: str
    channels: int
    """Of that map."""
    scale: int
    """Cells of its input per LR pixel, along an axis."""


class Probe(NamedTuple):
    """What a run on a small image shows of a network."""

    size: tuple[int, int]
    """Of the image that it was run on."""
    multiple: int
    """Height and width must be multiples of it."""
    scale: int
    """Of its result."""
    trunk: Place
    """The last convolution that receives a map at the LR image's size."""
    map: Place
    """The last convolution."""


@torch.no_grad()
def probe(network: nn.Module, name: str, minimum: int = 1, multiple: int = 1) -> Probe:
    """Runs a network on a small image, and notes what each of its convolutions receives.

    Args:
        network: in eval mode.
        name: for messages.
        minimum: least height and width that it takes.
        multiple: height and width must be multiples of it, as far as is known.

    Raises:
        UserError: it is no network that makes an RGB image x2, x3 or x4 of another by convolutions.
    """
    received: list[tuple[str, tuple[int, ...]]] = []

    def look(place: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            received.append((place, tuple(args[0].shape)))

        return hook

    hooks = [m.register_forward_hook(look(n)) for n, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    refused: list[UserError] = []
    try:
        for multiple in [multiple * times for times in MULTIPLES]:
            side = -(-max(minimum, 16) // multiple) * multiple
            size = (side, side + multiple)
            received.clear()
            try:
                result: Any = network(torch.full((1, 3, *size), 0.5))
                break
            except Exception as error:  # a network of any library may refuse in any way
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                refused.append(UserError(f"{name} takes no RGB image of {size[1]}x{size[0]}: {reason}"))
        else:
            raise refused[0]
    finally:
        for hook in hooks:
            hook.remove()
    shape = tuple(result.shape) if isinstance(result, Tensor) else ()
    scale = next((s for s in (2, 3, 4) if shape == (1, 3, size[0] * s, size[1] * s)), None)
    if scale is None or not received:
        made = f"{shape[1]} channels of {shape[3]}x{shape[2]}" if len(shape) == 4 else "something else"
        raise UserError(
            f"{name} makes {made} of an RGB image of {size[1]}x{size[0]}; a teacher makes RGB, x2, x3 or x4 of it"
        )
    places = [Place(place, seen[1], round(seen[2] / size[0])) for place, seen in received if len(seen) == 4]
    trunk = [place for place in places if place.scale == 1]
    if not trunk:
        raise UserError(f"{name} has no convolution at the LR image's size, so it has no trunk")
    return Probe(size, multiple, scale, trunk[-1], places[-1])


class Receiver(nn.Module):
    """A network that gives what one of its modules receives.

    Args:
        net: the network.
        name: of that module.
        whole: run the network to its end, and give its result too; else stop at the module.
    """

    def __init__(self, net: nn.Module, name: str, whole: bool) -> None:
        super().__init__()
        try:
            net.get_submodule(name)
        except AttributeError:
            raise UserError(f"`last`: {type(net).__name__} has no module '{name}'") from None
        self.net = net
        self.name = name
        self.whole = whole

    def forward(self, lq: Float[Tensor, "b 3 h w"]) -> Any:
        caught: list[Tensor] = []

        def catch(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            caught.append(args[0])
            if not self.whole:
                raise _EnoughError

        hook = self.net.get_submodule(self.name).register_forward_pre_hook(catch)
        try:
            result = self.net(lq)
        except _EnoughError:
            result = None
        finally:
            hook.remove()
        return (caught[-1], result) if self.whole else caught[-1]


class _EnoughError(Exception):
    """Stops a forward pass: the rest is not needed."""
