"""The coordinate networks' multi-layer perceptron."""

from collections.abc import Sequence
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear and ReLU for each hidden width, then a Linear without activation."""

    def __init__(self, in_dim: int, out_dim: int, hidden: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(in_dim, width), nn.ReLU(inplace=True)]
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

    def forward(self, x: Float[Tensor, "*n in_dim"]) -> Float[Tensor, "*n out_dim"]:
        return self.layers(x)
