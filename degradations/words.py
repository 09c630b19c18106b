"""A step of a plan in words."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_UNITS = {"_px": " px", "_px2": " px²", "_8bit": "/255", "_deg": " degrees"}
_NAMES = ("Gaussian", "Poisson")
_UNSAID = ("type", "seed", "from")


def describe(name: str, params: Mapping[str, Any]) -> str:
    """What a step called `name` did, e.g. "Gaussian blur: kernel 13 px, sigma 1.2 x 2.4 px, turned 33 degrees".

    Units come from the ends of the keys (sigma_px, sigma_8bit); flags that are off and seeds are left out.
    """
    said = [_say(key, value, params) for key, value in params.items() if key not in _UNSAID]
    said = [part for part in said if part]
    return f"{_title(name)}: {', '.join(said)}" if said else _title(name)


def _title(name: str) -> str:
    """GaussianBlur: Gaussian blur; JPEG and WebP stay."""
    first, *rest = re.split(r"(?<=[a-z])(?=[A-Z][a-z])", name)
    return " ".join([first, *(word if word in _NAMES else word.lower() for word in rest)])


def _say(key: str, value: Any, params: Mapping[str, Any]) -> str:
    if value is None or value is False:
        return ""
    if key == "size" and _is_numbers(value, 2):
        height, width = value
        return f"to {width} x {height} px{_times(params.get('from'), value)}"
    if key == "theta" and isinstance(value, int | float):  # of axes, so that half a turn is none
        degrees = round(math.degrees(value)) % 180
        return f"turned {degrees} degrees" if degrees else ""
    if key == "kernel_size":
        return f"kernel {_number(value)} px"
    if key == "mode":
        return str(value)
    ending, unit = next(((end, unit) for end, unit in _UNITS.items() if key.endswith(end)), ("", ""))
    word = key.removesuffix(ending).replace("_", " ")
    return word if value is True else f"{word} {_number(value)}{unit}"


def _times(before: Any, after: Sequence[float]) -> str:
    if not _is_numbers(before, 2) or min(before) <= 0:
        return ""
    across, down = after[1] / before[1], after[0] / before[0]
    alike = abs(across - down) * max(before) < 2  # the rest is rounding to whole pixels
    return f" (x{math.sqrt(across * down):.2g})" if alike else f" (x{across:.2g} by x{down:.2g})"


def _number(value: Any) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, list):
        if value and isinstance(value[0], list):
            return f"of {len(value)} x {len(value[0])} numbers"
        if len(value) > 4:
            return f"of {len(value)} numbers"
        alike = len({_number(part) for part in value}) == 1
        return _number(value[0]) if alike else " x ".join(_number(part) for part in value)
    return str(value)


def _is_numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(isinstance(part, int | float) for part in value)
