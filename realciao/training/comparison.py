"""What a run came to, for a person to see: one picture and one table, on a photo and on the held-out pairs."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from realciao.coords import scaled_size
from realciao.data import builtin_photo
from realciao.errors import OptionError, UserError
from realciao.figures.crops import busiest
from realciao.figures.markdown import number, table
from realciao.files import atomic_write
from realciao.images.reading import from_float, read_rgb, write_image
from realciao.metrics import build_metric
from realciao.metrics.metric import Metric
from realciao.options.run import Compare, Options
from realciao.training.run_folder import RunFolder
from realciao.training.validation import upscale_bicubic
from realciao.upscaling.upscaler import Upscaler

logger = logging.getLogger("realciao")

BUILTIN = "chelsea"
PANEL_PX = 320
"""Edge of a panel of the picture."""
LABEL_PX = 26
PHOTO_METRICS = ("niqe", "piqe")

Picture = Float[np.ndarray, "h w 3"]


class Result(NamedTuple):
    """The photo by one method at one scale."""

    method: str
    scale: float
    image: Picture


def compare(options: Options, run: RunFolder, device: str | torch.device) -> None:
    """Upscales the photo of `options.compare` by bicubic and by each stage, and writes what came out into the run's folder.

    comparison.png holds the same crop of each, one row a scale; comparison.md the scores on the photo, and those of each
    stage's last validation; upscaled/ the photo by the last stage, whole.

    Raises:
        UserError: the photo cannot be read, or a file cannot be written.
    """
    if options.compare is None:
        return
    path, photo = read_photo(options.compare)
    logger.info("comparing on %s, %d x %d", path.name, photo.shape[1], photo.shape[0])
    labels = stage_labels(options)
    upscalers = {labels[name]: Upscaler.from_file(run.weights_file(name), device) for name in labels}
    results = []
    for scale in options.compare.scales:
        results.append(Result("bicubic", scale, upscale_bicubic(photo, scaled_size(photo.shape[:2], scale))))
        results += [Result(label, scale, upscaler.upscale(photo, scale)) for label, upscaler in upscalers.items()]
        large = run.upscaled / f"{path.stem}_x{scale:g}.png"
        write_image(large, from_float(results[-1].image, np.dtype(np.uint8)))
        logger.info("upscaled to %d x %d: %s", *results[-1].image.shape[1::-1], large)
    write_image(run.picture, draw_picture(photo, results))
    rows = [json.loads(line) for line in run.metrics_file.read_text(encoding="utf-8").splitlines()]
    photo_table = _photo_table(path.name, results, [build_metric(name) for name in PHOTO_METRICS])
    text = "\n\n".join([*_notes(options), *pair_tables(rows, labels), photo_table]) + "\n"
    atomic_write(run.table, text)
    logger.info("\n%s", text)
    logger.info("weights: %s", run.models / "net_g_latest.safetensors")
    logger.info("picture: %s", run.picture)
    logger.info("table:   %s", run.table)


def stage_labels(options: Options) -> dict[str, str]:
    """What the picture and the table call each stage, by its name."""
    return {stage.name: f"stage {n} ({stage.name})" for n, stage in enumerate(options.stages, start=1)}


def read_photo(compare: Compare) -> tuple[Path, Picture]:
    """The file that is compared on, and what it holds.

    Raises:
        OptionError: it cannot be read.
    """
    path = builtin_photo(BUILTIN) if compare.image == "builtin" else Path(compare.image)
    try:
        return path, read_rgb(path)
    except UserError as error:
        raise OptionError("compare.image", str(error)) from error


def draw_picture(photo: Picture, results: list[Result]) -> UInt8[np.ndarray, "H W 3"]:
    """One row a scale, one column a method, the input first: the same crop of all, each panel PANEL_PX wide."""
    rows = []
    for scale in dict.fromkeys(result.scale for result in results):
        at_scale = [result for result in results if result.scale == scale]
        # a panel shows one result pixel as one pixel, so the crop of the input is smaller the larger the scale
        edge = max(1, min(round(PANEL_PX / scale), *photo.shape[:2]))
        top, left = busiest(photo, edge)
        crop = photo[top : top + edge, left : left + edge]
        panels = [_panel(crop, f"input, {edge} x {edge}", nearest=True)]
        for result in at_scale:
            y0, y1, x0, x1 = (round(v * scale) for v in (top, top + edge, left, left + edge))
            panels.append(_panel(result.image[y0:y1, x0:x1], f"{result.method} x{scale:g}", nearest=False))
        rows.append(np.concatenate(panels, axis=1))
    return np.concatenate(rows)


def _panel(crop: Picture, label: str, nearest: bool) -> UInt8[np.ndarray, "h w 3"]:
    image = Image.fromarray(from_float(crop, np.dtype(np.uint8)))
    image = image.resize((PANEL_PX, PANEL_PX), Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC)
    panel = Image.new("RGB", (PANEL_PX + 4, PANEL_PX + LABEL_PX), "white")
    panel.paste(image, (2, LABEL_PX))
    ImageDraw.Draw(panel).text((6, 4), label, fill="black", font=ImageFont.load_default(16))
    return np.asarray(panel)


def _notes(options: Options) -> list[str]:
    specs = [stage.perceptual_opt for stage in options.stages if stage.perceptual_opt]
    if any(spec.get("vgg_weights") == "random" for spec in specs):
        return ["The perceptual loss used RANDOM VGG features: this run shows the way, not what the method can do."]
    return []


def pair_tables(rows: Iterable[dict[str, Any]], labels: dict[str, str]) -> list[str]:
    """Each stage's last validation on each set, as Markdown; bicubic's scores of the same items in the first row.

    Args:
        rows: of metrics.jsonl; a score is None where it is no finite number, and absent where it was not measured.
        labels: of the stages, by name.
    """
    last: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        if "val" in row:
            last.setdefault(row["val"], {})[row["stage"]] = row
    return [f"Validation set `{name}`:\n\n{_pair_table(stages, labels)}" for name, stages in last.items()]


def _pair_table(stages: dict[str, dict[str, Any]], labels: dict[str, str]) -> str:
    scores = {key: score for row in stages.values() for key, score in row.items()}
    bicubic = {key.removesuffix("_bicubic"): scores[key] for key in scores if key.endswith("_bicubic")}
    methods = {"bicubic": bicubic, **{label: stages[name] for name, label in labels.items() if name in stages}}
    return _score_table(list(bicubic), methods)


def _photo_table(name: str, results: list[Result], metrics: list[Metric]) -> str:
    scores = {f"{r.method} x{r.scale:g}": {m.name: m(r.image) for m in metrics} for r in results}
    return f"The photo {name} (lower is better):\n\n{_score_table([m.name for m in metrics], scores)}"


def _score_table(columns: Sequence[str], methods: Mapping[str, Mapping[str, float | None]]) -> str:
    lines = [[method, *(number(scores.get(column)) for column in columns)] for method, scores in methods.items()]
    return table(["method", *columns], lines)
