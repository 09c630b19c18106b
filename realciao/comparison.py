"""What a run came to, for a person to see: one picture and one table, on a photo and on the held-out pairs."""

import json
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from realciao.coords import scaled_size
from realciao.data import builtin_photo
from realciao.errors import OptionError, UserError
from realciao.files import atomic_write
from realciao.image import from_float, read_rgb, write_image
from realciao.inference import Upscaler
from realciao.metrics import build_metric
from realciao.metrics.metric import Metric
from realciao.options import Compare, Options
from realciao.run_folder import RunFolder
from realciao.validation import upscale_bicubic

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


def compare(options: Options, run: RunFolder) -> None:
    """Upscales the photo of `options.compare` by bicubic and by each stage, and writes what came out into the run's folder.

    comparison.png holds the same crop of each, one row a scale; comparison.md the scores on the photo, and those of each
    stage's last validation; upscaled/ the photo by the last stage, whole.

    Raises:
        UserError: the photo cannot be read.
    """
    if options.compare is None:
        return
    path, photo = read_photo(options.compare)
    logger.info("comparing on %s, %d x %d", path.name, photo.shape[1], photo.shape[0])
    upscalers = {stage.name: Upscaler.from_file(run.weights_file(stage.name)) for stage in options.stages}
    results = []
    for scale in options.compare.scales:
        results.append(Result("bicubic", scale, upscale_bicubic(photo, scaled_size(photo.shape[:2], scale))))
        results += [Result(name, scale, upscaler.upscale(photo, scale)) for name, upscaler in upscalers.items()]
        large = run.upscaled / f"{path.stem}_x{scale:g}.png"
        write_image(large, from_float(results[-1].image, np.dtype(np.uint8)))
        logger.info("upscaled to %d x %d: %s", *results[-1].image.shape[1::-1], large)
    write_image(run.picture, draw_picture(photo, results))
    text = _photo_table(path.name, results, [build_metric(name) for name in PHOTO_METRICS])
    text = "\n".join([*_notes(options), *_pair_table(run), *text, ""])
    atomic_write(run.table, text)
    logger.info("\n%s", text)
    logger.info("weights: %s", run.models / "net_g_latest.safetensors")
    logger.info("picture: %s", run.picture)
    logger.info("table:   %s", run.table)


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


def busiest(photo: Picture, edge: int) -> tuple[int, int]:
    """Top and left of the edge x edge crop with the most gradient, where methods differ most."""
    grey = photo.mean(axis=2)
    energy = np.abs(np.diff(grey, axis=0, append=grey[-1:])) + np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    sums = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    total = sums[edge:, edge:] - sums[:-edge, edge:] - sums[edge:, :-edge] + sums[:-edge, :-edge]
    top, left = np.unravel_index(int(total.argmax()), total.shape)
    return int(top), int(left)


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
        return ["The perceptual loss used RANDOM VGG features: this run shows the way, not what the method can do.", ""]
    return []


def _pair_table(run: RunFolder) -> list[str]:
    """Each stage's last validation, as Markdown; bicubic's scores of the same items in the first row."""
    last: dict[str, dict[str, dict[str, float]]] = {}
    for line in run.metrics_file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "val" in row:
            last.setdefault(row["val"], {})[row["stage"]] = row
    lines = []
    for name, stages in last.items():
        first = next(iter(stages.values()))
        metrics = [key.removesuffix("_bicubic") for key in first if key.endswith("_bicubic")]
        methods = {"bicubic": {m: first[f"{m}_bicubic"] for m in metrics}, **stages}
        lines += [f"Validation set `{name}`:", "", *_markdown(metrics, methods), ""]
    return lines


def _photo_table(name: str, results: list[Result], metrics: list[Metric]) -> list[str]:
    scores = {f"{r.method} x{r.scale:g}": {m.name: m(r.image) for m in metrics} for r in results}
    return [f"The photo {name} (lower is better):", "", *_markdown([m.name for m in metrics], scores)]


def _markdown(columns: list[str], rows: dict[str, dict[str, float]]) -> list[str]:
    lines = [f"| method | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    return lines + [f"| {name} | {' | '.join(f'{row[c]:.3f}' for c in columns)} |" for name, row in rows.items()]
