"""What may change in the options of a run that goes on: all that its saved state can go on with."""

import re
from typing import Any

import yaml

from realciao.errors import UserError
from realciao.options.run import Options, dump_options

TOLD = 8
"""Changes that are said; of more, how many."""
HELD_BY_RUN = re.compile(r"(manual_seed|scale_range|network_g)\b")
HELD_BY_STATE = re.compile(r"name$|network_d\b|freeze\b|teacher\.model$|optim_[gd](\.type|\.groups)?$")
"""Keys of the stage in hand that its networks' and optimizers' states depend on."""
WITHOUT_EFFECT = re.compile(r"datasets\b|accum_iter$|grad_clip$|color_opt\b|.*\.(loss|perceptual|style)_weight$")
"""Keys of a stage that is done which may change nevertheless, as stages often share them."""


def changes(begun: Options, now: Options, step: int) -> list[str]:
    """What has changed, e.g. "stages.0.optim_g.lr from 0.001 to 0.0005".

    Args:
        begun: the options that the run has had.
        now: those that it is to go on with.
        step: that it goes on from, at least 1.

    Raises:
        UserError: it would be another run, or the stage in hand shorter than what is done of it.
    """
    current, stage, first_step = begun.stage_at(step - 1)  # the stage that the saved state is of
    done = step - first_step
    total_iter = now.stages[current].total_iter if current < len(now.stages) else 0
    finished = current + (done == stage.total_iter == total_iter)
    before, after = (_flat(yaml.safe_load(dump_options(options))) for options in (begun, now))
    keys = [key for key in dict.fromkeys([*before, *after]) if before.get(key) != after.get(key)]
    held = [key for key in keys if _is_held(key, finished, current)]
    if held:
        raise UserError(
            f"the run began with another {', '.join(held)}; go on with its own options, or give --overwrite to start it "
            "again, or --set name=OTHER to start another"
        )
    if finished == current and total_iter <= done:
        raise UserError(
            f"stages.{current}.total_iter is {total_iter}, but {done} of its iterations are done; give more"
        )
    keys = [key for key in keys if not key.startswith("datasets.train.")]  # each stage has them as its own
    told = [f"{key} from {_short(before.get(key))} to {_short(after.get(key))}" for key in keys[:TOLD]]
    return told + ([f"{len(keys) - TOLD} more"] if len(keys) > TOLD else [])


def _is_held(key: str, finished: int, current: int) -> bool:
    """Whether a key must stay what it is, where so many stages are finished and the state is of stage `current`."""
    of_stage = re.match(r"stages\.(\d+)\.(.*)", key)
    if not of_stage:
        return HELD_BY_RUN.match(key) is not None
    index, key = int(of_stage[1]), of_stage[2]
    if index < finished:
        return not WITHOUT_EFFECT.match(key)
    return index == current and HELD_BY_STATE.match(key) is not None


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """The leaves of nested mappings and lists by their dotted keys, and the names in an optimizer's `groups`."""
    if not isinstance(value, dict | list) or not value:
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    names = {path: " ".join(value)} if path.endswith(".groups") else {}
    return names | {
        key: leaf for name, child in items for key, leaf in _flat(child, f"{path}.{name}".strip(".")).items()
    }


def _short(value: Any) -> str:
    return "nothing" if value is None or value == {} or value == [] else f"{value}"[:60]
