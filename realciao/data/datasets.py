"""What a data set is for: sample numbers in and training items out, or a fixed list of validation images."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from msgspec import Meta
from torch.utils.data import Dataset, default_collate

from realciao.batch import EvalItem, TrainBatch
from realciao.data.image_store import report_unreadable
from realciao.images.reading import ImageError

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Scale = Annotated[float, Meta(ge=1)]


class SampleIndex(NamedTuple):
    """What a training item is made from, together with the seed."""

    draw: int
    """Running number of the sample over the whole run."""
    step: int
    """Running number of the global batch that it belongs to."""


class Needs(NamedTuple):
    """What a stage asks of its training set."""

    targets: frozenset[str] = frozenset(("gt",))
    """What its losses compare with: gt, usm, teacher."""
    teacher: str | None = None
    """SHA-256 of the stage's teacher; None without one."""
    resumes: bool = False
    """Whether items must hold the map of the teacher's trunk, from which the generator starts."""


class TrainSet(ABC, Dataset[Any]):
    """A training set: the same index gives the same item, bit for bit, whichever process asks.

    A loader's worker makes items and collates them; what it hands over goes to the device and is finished there.
    """

    @abstractmethod
    def __getitem__(self, index: SampleIndex) -> Any:
        """The item of an index: a TrainBatch's tensors without the batch axis, or what `collate` and `finish` take."""

    def serve(self, needs: Needs) -> None:
        """Prepares for what is needed; called once, before the first item. OptionError where the set cannot give it."""

    @property
    def teaches(self) -> bool:
        """Whether items hold a teacher's result."""
        return False

    @property
    def kept_of(self) -> str | None:
        """SHA-256 of the teacher whose trunk's map each item can hold; None for none."""
        return None

    def collate(self, items: Sequence[Any]) -> Any:
        """The batch of some items, as it leaves a worker."""
        return default_collate(list(items))

    def finish(self, batch: Any) -> TrainBatch:
        """Makes a TrainBatch, on the device where the batch lies, of what `collate` gave."""
        return batch

    def first(self, count: int) -> Any:
        """The batch, collated, of the first samples."""
        return self.collate([self[SampleIndex(draw, step=0)] for draw in range(count)])

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
