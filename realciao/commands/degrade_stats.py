"""Statistics: how severe a recipe is, at one scale or at several."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from realciao.commands.each_image import each_image
from realciao.commands.jobs import mirror, refuse_existing
from realciao.errors import UserError
from realciao.figures.markdown import table
from realciao.files import atomic_write
from realciao.images.reading import read_rgb
from realciao.recipe_views.plans import load_pipeline, user_error
from realciao.recipe_views.plots import draw_histograms, draw_severity
from realciao.recipe_views.statistics import CROP_PX, Row, measure_image, middle, summarise

WANTED_RESULTS = 200


def run(args: argparse.Namespace) -> int:
    """Writes stats.json, stats.png and, at several scales, severity.png; returns the exit status."""
    sources = [job.source for job in mirror(args.input, args.output, lambda source: source.name)]
    scales = sorted(set(args.scale))
    data, histograms, severity = (args.output / name for name in ("stats.json", "stats.png", "severity.png"))
    written = [data, histograms, severity] if len(scales) > 1 else [data, histograms]
    if not args.overwrite:
        refuse_existing(written)
    pipeline = load_pipeline(args.pipeline)
    draws = draws_per_image(args.draws, len(sources))
    rows: list[Row] = []

    def measure(number: int, source: Path) -> None:
        image = middle(read_rgb(source))
        numbers = range(number, draws * len(sources), len(sources))
        with user_error(source):
            rows.extend(measure_image(pipeline, source.name, image, scales, args.seed, numbers))

    failed = each_image(sources, measure)
    if not rows:
        raise UserError("no image could be measured")
    summary = summarise(rows)
    title = f"{pipeline.name}: {len(rows) // len(scales)} results a scale, {CROP_PX} px crops"
    about = {"recipe": pipeline.name, "seed": args.seed, "draws": draws, "crop_px": CROP_PX}
    atomic_write(
        data, json.dumps({**about, "summary": summary, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"
    )
    atomic_write(histograms, draw_histograms(rows, title))
    if len(scales) > 1:
        atomic_write(severity, draw_severity(rows, title))
    print(_table(summary))
    print(f"written: {', '.join(map(str, written))}")
    return 1 if failed else 0


def draws_per_image(asked: int | None, images: int) -> int:
    """As many plans for each image as were asked for, or as give WANTED_RESULTS in all."""
    return asked or -(-WANTED_RESULTS // images)


def _table(summary: dict[str, dict[str, dict[str, float]]]) -> str:
    lines = []
    for scale, found in summary.items():
        noise = found["noise_sigma_8bit"]
        said = [f"{found[key]['mean']:.2f} ({found[key]['sd']:.2f})" for key in ("psnr_db", "blur_sigma_px")]
        lines.append([f"x{scale}", *said, f"{noise['p5']:.1f} to {noise['p95']:.1f}" if noise["n"] else "-"])
    return table(["scale", "PSNR [dB], mean (sd)", "blur [HR px], mean (sd)", "noise [1/255], 90 %"], lines)
