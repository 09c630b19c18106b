"""What every method is: something that makes a large image of a small one."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from realciao.evaluation.grid.data_sets import Item
from realciao.registry import Registry

METHOD_REGISTRY: Any = Registry("method")

Picture = Float[np.ndarray, "h w 3"]


class Method(ABC):
    """A registered subclass is a method; its arguments are what an option file may set.

    Attributes:
        name: what the tables call it.
        optional: whether its absence is a remark and no failure.
        finished: whether its results lie in files already.
        remark: what must be said wherever its scores are shown, e.g. that its weights are random.
    """

    name: str
    optional: bool = False
    finished: ClassVar[bool] = False
    remark: str = ""

    @property
    def default_name(self) -> str:
        return type(self).__name__.lower()

    def problem(self) -> str:
        """Why it cannot be had here, e.g. "no weights: FILE"; "" where it can."""
        return ""

    @abstractmethod
    def identity(self, item: Item) -> str:
        """Text that is another whenever the result for `item` could be another: digests of weights, versions, settings."""

    @abstractmethod
    def upscale(self, item: Item, lq: Picture, size: tuple[int, int]) -> Picture:
        """The result in [0, 1], of height and width `size`.

        Raises:
            UserError: it cannot be made.
        """

    def to(self, device: str) -> None:  # noqa: B027  (most methods run nowhere in particular)
        """Says where it runs; nothing is loaded before it is needed."""
