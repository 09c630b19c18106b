"""What an evaluation came to."""

from dataclasses import dataclass, field
from pathlib import Path

from realciao.evaluation.folder import Failure, Row
from realciao.evaluation.grid.data_sets import Item, Source
from realciao.evaluation.grid.methods import Method
from realciao.evaluation.grid.options import GridOptions
from realciao.evaluation.grid.scoring import MetricSet

Place = tuple[str, str, float]
"""Method, data set and scale."""


@dataclass
class Results:
    """All scores of an evaluation.

    Attributes:
        rows: by method, data set and scale, in the order of the images.
        files: of the results, by method and item, for those who want to look at them.
        failures: what should have been scored and was not; the exit status depends on them.
        unavailable: methods, data sets and metrics that are missing: (name, reason, whether that was allowed for).
        seconds: spent on upscaling, by method and scale, in this run or before.
    """

    options: GridOptions
    sources: list[Source]
    methods: list[Method]
    metrics: MetricSet
    rows: dict[Place, list[Row]] = field(default_factory=dict)
    files: dict[tuple[str, Item], Path] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    unavailable: list[tuple[str, str, bool]] = field(default_factory=list)
    seconds: dict[tuple[str, float], float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether everything that had to be scored was."""
        return not self.failures and all(allowed for *_, allowed in self.unavailable)
