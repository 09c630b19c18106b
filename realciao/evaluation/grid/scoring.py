"""The metrics of an evaluation: made once, by border where they leave one out; what cannot be had is remembered."""

import inspect
from collections.abc import Sequence
from typing import Any

from realciao.errors import UserError
from realciao.metrics import build_metric, find_metric
from realciao.metrics.metric import Metric, MetricUnavailable


class MetricSet:
    """The metrics that the options name.

    Args:
        specs: names or specs.
        **defaults: arguments for those that take them, e.g. iqa_params.

    Raises:
        OptionError: an unknown metric, or one named twice.
    """

    def __init__(self, specs: Sequence[str | dict[str, Any]], **defaults: Any) -> None:
        self.specs = list(specs)
        self.classes = [find_metric(spec, f"metrics.{i}") for i, spec in enumerate(specs)]
        self.names = [cls.__name__.lower() for cls in self.classes]
        for i, name in enumerate(self.names):
            if name in self.names[:i]:
                raise UserError(f"metrics.{i}: '{name}' is named twice")
        self.defaults = defaults
        self.unavailable: dict[str, str] = {}
        self._made: dict[tuple[int, int | None], Metric | None] = {}

    def lower_better(self, name: str) -> bool:
        return self.classes[self.names.index(name)].lower_better

    def made(self, border: int) -> list[Metric]:
        """Those that can be had, in their order."""
        return [metric for i in range(len(self.specs)) if (metric := self._make(i, border))]

    def _make(self, i: int, border: int) -> Metric | None:
        bordered = "crop_border" in inspect.signature(self.classes[i]).parameters
        key = (i, border if bordered else None)
        if key not in self._made:
            try:
                self._made[key] = build_metric(self.specs[i], f"metrics.{i}", crop_border=border, **self.defaults)
            except MetricUnavailable as error:
                self.unavailable[self.names[i]] = f"not to be had: {error}"
                self._made[key] = None
        return self._made[key]
