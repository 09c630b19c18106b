"""What a data set is for: sample numbers in and training items out, or a fixed list of validation images."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta
from torch.utils.data import Dataset

from realciao.batch import EvalItem, TrainBatch
from realciao.data.image_store import report_unreadable
from realciao.image import ImageError

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Scale = Annotated[float, Meta(ge=1)]


class SampleIndex(NamedTuple):
    """What a training item is made from, together with the seed."""

    draw: int
    """Running number of the sample over the whole run."""
    step: int
    """Running number of the global batch that it belongs to."""


class TrainSet(ABC, Dataset[TrainBatch]):
    """A training set: the same index gives the same item, bit for bit, whichever process asks."""

    @abstractmethod
    def __getitem__(self, index: SampleIndex) -> TrainBatch:
        """The item of an index: tensors without the batch axis, for default_collate."""

    @property
    @abstractmethod
    def skipped(self) -> int:
        """Files given up so far because they could not be read."""

    @property
    def targets(self) -> list[Path]:
        """The files of the images to learn, for a look at them before a run; none where they are no files."""
        return []


class ValSet(ABC):
    """A validation set: item i is the same each time."""

    @abstractmethod
    def __len__(self) -> int:
        """Items, those included whose file turns out to be broken."""

    @property
    def targets(self) -> list[Path]:
        """The files of the images that it judges by; none where they are no files."""
        return []

    @abstractmethod
    def __getitem__(self, index: int) -> EvalItem:
        """Item `index`. Raises ImageError if its file cannot be read."""

    def items(self, start: int = 0, step: int = 1) -> Iterator[EvalItem]:
        """Every `step`-th item from `start` on; a file that cannot be read is reported, the first time, and skipped."""
        for index in range(start, len(self), step):
            try:
                item = self[index]
            except ImageError as error:
                report_unreadable(error)
            else:
                yield item

    def __iter__(self) -> Iterator[EvalItem]:
        return self.items()
