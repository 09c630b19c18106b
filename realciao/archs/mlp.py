"""The coordinate networks' multi-layer perceptron."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias, cast

from jaxtyping import Float
from msgspec import Meta
from torch import Tensor, nn

Count: TypeAlias = Annotated[int, Meta(ge=0)]
Width: TypeAlias = Annotated[int, Meta(ge=1)]
Widths: TypeAlias = Annotated[tuple[Width, ...], Meta(min_length=1)]
"""Widths of the hidden layers, as a constructor's argument: a spec with none, or with one below 1, is refused at its key."""


class MLP(nn.Module):
    """Linear and activation for each hidden width, then a Linear without activation."""

    def __init__(self, in_dim: int, out_dim: int, hidden: Sequence[int], activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(in_dim, width), activation()]
            in_dim = width
        self.layers = nn.Sequential(*layers, nn.Linear(in_dim, out_dim))

    @property
    def first(self) -> nn.Linear:
        """The layer that reads the input."""
        return cast(nn.Linear, self.layers[0])

    @property
    def last(self) -> nn.Linear:
        """The layer that gives the output."""
        return cast(nn.Linear, self.layers[-1])

    def start_at_zero(self) -> None:
        """Makes the output 0 until it is trained."""
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Float[Tensor, "*n in_dim"]) -> Float[Tensor, "*n out_dim"]:
        return self.last(self.activate(self.first(x)))

    def activate(self, hidden: Float[Tensor, "*n d"]) -> Float[Tensor, "*n e"]:
        """What the last layer reads, from what the first one gives; that is overwritten where the activation allows it."""
        for layer in self.layers[1:-1]:
            hidden = hidden.relu_() if isinstance(layer, nn.ReLU) else layer(hidden)
        return hidden
