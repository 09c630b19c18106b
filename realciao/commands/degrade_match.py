"""Match: a user's real photos beside what a recipe makes."""

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from realciao.commands.degrade_stats import draws_per_image
from realciao.commands.each_image import each_image
from realciao.commands.jobs import mirror, refuse_existing
from realciao.errors import UserError
from realciao.files import atomic_write
from realciao.images.reading import read_luma_table, read_rgb
from realciao.recipe_views.advice import compare
from realciao.recipe_views.match import LABELS, Look, look_at_photo, look_at_result
from realciao.recipe_views.plans import drawn_plans, load_pipeline, user_error
from realciao.recipe_views.plots import draw_match


def run(args: argparse.Namespace) -> int:
    """Writes match.json and match.png, and prints what to change; returns the exit status."""
    sources, photo_files = (
        [job.source for job in mirror(folder, args.output, lambda source: source.name)]
        for folder in (args.input, args.match)
    )
    data, figure = args.output / "match.json", args.output / "match.png"
    if not args.overwrite:
        refuse_existing((data, figure))
    pipeline = load_pipeline(args.pipeline)
    make_plan = drawn_plans(pipeline, args.scale[0], args.seed)
    draws = draws_per_image(args.draws, len(sources))
    photos: list[Look] = []
    made: list[Look] = []

    def judge(number: int, source: Path) -> None:
        photos.append(look_at_photo(read_rgb(source), read_luma_table(source)))

    def degrade_and_judge(number: int, source: Path) -> None:
        image = read_rgb(source)
        with user_error(source):
            for draw in range(number, draws * len(sources), len(sources)):
                made.append(look_at_result(make_plan(draw, image.shape[:2]), image))

    failed = each_image(photo_files, judge) + each_image(sources, degrade_and_judge)
    if not photos or not made:
        raise UserError(f"none of the images in {args.input if photos else args.match} could be judged")
    verdicts = compare(photos, made)
    about = {"recipe": pipeline.name, "scale": args.scale[0], "seed": args.seed, "draws": draws}
    found = {name: {"words": verdict.words, "ranges": verdict.ranges} for name, verdict in verdicts.items()}
    looks = {"photos": [_plain(look) for look in photos], "made": [_plain(look) for look in made]}
    atomic_write(data, json.dumps({**about, "found": found, **looks}, indent=1) + "\n")
    both = {name: (verdict.photos, verdict.made) for name, verdict in verdicts.items()}
    atomic_write(figure, draw_match(both, LABELS, f"{args.match.name} beside {pipeline.name} at x{args.scale[0]:g}"))
    for verdict in verdicts.values():
        print(verdict.words)
    print(f"written: {data}, {figure}")
    return 1 if failed else 0


def _plain(look: Look) -> dict[str, Any]:
    """For JSON, which has no nan."""
    numbers = {name: value for name, value in asdict(look).items() if name in LABELS}
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}
