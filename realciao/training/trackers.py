"""Where a run's numbers also go: TensorBoard, wandb, trackio and the others that Accelerate knows, by name."""

from collections.abc import Sequence
from typing import Any

import msgspec
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, TensorBoardTracker, get_available_trackers

from realciao.errors import OptionError, did_you_mean
from realciao.options.run import Options
from realciao.training.run_folder import RunFolder

PROJECT = "realciao"
"""Under which services keep the runs; a run's name is its own there too."""
PACKAGES = {"comet_ml": "comet-ml"}
"""Names under which a package is installed, where they differ from the tracker's."""
NAMES_RUN = ("wandb", "trackio")
"""Trackers whose `init` takes the run's name as `name`."""


def make_trackers(names: Sequence[str], options: Options, run: RunFolder) -> list[Any]:
    """A tracker for each name; nothing is written, nor a service reached, before they are started.

    Raises:
        OptionError: an unknown name, or one whose package is not installed.
    """
    trackers = []
    available = [str(tracker) for tracker in get_available_trackers()]
    for index, name in enumerate(names):
        if name not in LOGGER_TYPE_TO_CLASS:
            known = f"; known: {', '.join(sorted(LOGGER_TYPE_TO_CLASS))}"
            hint = did_you_mean(name, LOGGER_TYPE_TO_CLASS) or known
            raise OptionError(f"logger.trackers.{index}", f"no tracker is called '{name}'{hint}")
        if name not in available:
            package = PACKAGES.get(name, name)
            raise OptionError(f"logger.trackers.{index}", f"'{name}' is not installed: python -m pip install {package}")
        make = LOGGER_TYPE_TO_CLASS[name]
        if name == "tensorboard":
            trackers.append(make(run.trackers.name, str(run.root)))
        elif make.requires_logging_directory:
            trackers.append(make(options.name, str(run.trackers)))
        else:
            trackers.append(make(PROJECT, **({"name": options.name} if name in NAMES_RUN else {})))
    return trackers


def tell_options(trackers: Sequence[GeneralTracker], options: Options) -> None:
    """Gives the services the run's options. TensorBoard would make a run of its own of them, and has options.yml beside it."""
    for tracker in trackers:
        if not isinstance(tracker, TensorBoardTracker):
            tracker.store_init_configuration(msgspec.to_builtins(options))
