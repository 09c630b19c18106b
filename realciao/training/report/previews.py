"""Small pictures of what the network makes of some validation images, step after step."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from realciao.batch import EvalItem
from realciao.coords import make_axis, make_cell
from realciao.data import ValSet
from realciao.images.reading import ImageError, from_float, to_array, to_tensor, upscale_bicubic, write_image
from realciao.training.comparison import busiest

PER_SET = 4
"""Images of each validation set."""
EDGE_PX = 160
"""Of a picture; a result pixel is a picture's pixel."""
QUALITY = 88

Picture = Float[np.ndarray, "h w 3"]


class Sheet(NamedTuple):
    """The pictures of one validation image."""

    val: str
    name: str
    scale: float
    bicubic: Path
    gt: Path | None
    steps: dict[int, Path]
    """By step, in order."""


def draw_previews(net: nn.Module, val_sets: dict[str, ValSet], folder: Path, step: int) -> None:
    """Writes `folder/SET/NAME__xSCALE/step_N.jpg` for some images of each set, and once bicubic.jpg and gt.jpg beside it.

    Raises:
        UserError: a picture cannot be written.
    """
    for name, val_set in val_sets.items():
        for item in _chosen(val_set):
            scale = item["size"][0] / item["lq"].shape[0]
            _draw(net, item, folder / name / f"{_file_name(item['name'])}__x{scale:.4g}", step)


def find_sheets(folder: Path, last_step: int, most_steps: int) -> list[Sheet]:
    """The previews that are there, up to a step; of many steps the first, the last, and some between.

    Args:
        folder: where `draw_previews` put them.
        last_step: later ones are of a run that was set back.
        most_steps: pictures of each sheet.
    """
    sheets = []
    for place in sorted(folder.glob("*/*__x*")):
        steps = {int(path.stem.removeprefix("step_")): path for path in place.glob("step_*.jpg")}
        shown = _spread(sorted(step for step in steps if step <= last_step), most_steps)
        if shown and (place / "bicubic.jpg").exists():
            name, _, scale = place.name.rpartition("__x")
            gt = place / "gt.jpg"
            found = {step: steps[step] for step in shown}
            sheets.append(
                Sheet(place.parent.name, name, float(scale), place / "bicubic.jpg", gt if gt.exists() else None, found)
            )
    return sorted(sheets, key=lambda sheet: (sheet.val, sheet.scale, sheet.name))


def _chosen(val_set: ValSet) -> Iterator[EvalItem]:
    """The same few items each time, spread over the set by the golden ratio, so that they differ in photo and in scale."""
    count = len(val_set)
    spread = dict.fromkeys(int(number * 0.6180339887498949 % 1 * count) for number in range(4 * count))
    left = PER_SET
    for index in spread:
        if not left:
            return
        try:
            yield val_set[index]
        except ImageError:  # reported by the validation
            continue
        left -= 1


@torch.inference_mode()
def _draw(net: Any, item: EvalItem, place: Path, step: int) -> None:
    lq, size = item["lq"], item["size"]
    bicubic = upscale_bicubic(lq, size)
    edge = min(EDGE_PX, *size)
    top, left = busiest(item.get("gt", bicubic), edge)
    window = slice(top, top + edge), slice(left, left + edge)
    for name, picture in (("bicubic", bicubic), ("gt", item.get("gt"))):
        if picture is not None and not (place / f"{name}.jpg").exists():
            _write(place / f"{name}.jpg", picture[window])
    device = next(net.parameters()).device
    prepared = net.prepare(to_tensor(lq).to(device), frame=(0, 0, *lq.shape[:2]))
    ys, xs = (make_axis(n, device)[part] for n, part in zip(size, window, strict=True))
    _write(place / f"step_{step}.jpg", to_array(net.query_grid(prepared, ys, xs, make_cell(size)[None].to(device))))


def _write(path: Path, picture: Picture) -> None:
    write_image(path, from_float(picture, np.uint8), quality=QUALITY)


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)[:100] or "_"


def _spread(steps: list[int], most: int) -> list[int]:
    if len(steps) <= most:
        return steps
    return [steps[round(place)] for place in np.linspace(0, len(steps) - 1, most)]
