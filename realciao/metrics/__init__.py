"""Metrics. Importing this package registers every metric in its folder; a new one is one file with one class."""

import inspect
from collections.abc import Mapping
from typing import Any

from realciao.errors import OptionError, did_you_mean
from realciao.metrics.metric import Metric, MetricUnavailable
from realciao.metrics.pyiqa_metric import catalog
from realciao.registry import METRIC_REGISTRY, build, import_all


def find_metric(name_or_spec: str | Mapping[str, Any], where: str = "metrics") -> type[Metric]:
    """The class of a metric, by its name in any case or by the `type` of a spec; nothing is loaded.

    Raises:
        OptionError: below path `where`, naming the nearest metric.
    """
    # BasicSR keeps bare functions in the same registry
    known = {key.lower(): cls for key, cls in METRIC_REGISTRY if inspect.isclass(cls) and issubclass(cls, Metric)}
    name, place = name_or_spec, where
    if isinstance(name_or_spec, Mapping):
        name, place = name_or_spec.get("type", "(no type)"), f"{where}.type"
    if str(name).lower() not in known:
        own = [key for key in known if key not in catalog()]
        likely = did_you_mean(name, own) or did_you_mean(name, known)
        raise OptionError(place, f"no metric '{name}'{likely or f'; known: {_brief(own)}'}")
    return known[str(name).lower()]


def _brief(own: list[str]) -> str:
    """The names of our own metrics; pyiqa's are too many for a line."""
    return f"{', '.join(sorted(own))}, and pyiqa's ({', '.join(list(catalog())[:3])} ...)"


def build_metric(name_or_spec: str | Mapping[str, Any], where: str = "metrics", **defaults: Any) -> Metric:
    """Makes a metric from its name ("psnr_y") or a spec ({"type": "PSNR_Y", "crop_border": 4}).

    Args:
        name_or_spec: the name is good in any case.
        where: its place in the option file; prefixes the path of every error.
        **defaults: arguments such as crop_border and iqa_params; each goes to the metrics that take it, unless the spec
            sets it or it is None.

    Raises:
        MetricUnavailable: a file or a library is missing.
        OptionError: anything else that is wrong.
    """
    cls = find_metric(name_or_spec, where)
    taken = inspect.signature(cls).parameters
    spec = {key: value for key, value in defaults.items() if key in taken and value is not None}
    spec |= name_or_spec if isinstance(name_or_spec, Mapping) else {}
    try:
        return build(METRIC_REGISTRY, spec | {"type": cls.__name__}, where)
    except OptionError as error:
        cause: BaseException | None = error
        while isinstance(cause, OptionError):  # it was given its path on the way
            cause = cause.__cause__
        if isinstance(cause, MetricUnavailable):
            raise MetricUnavailable(str(error)) from error
        raise


import_all(__name__)
