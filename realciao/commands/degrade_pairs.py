"""Degraded images, and the plans that made them."""

import argparse
import json
from pathlib import Path

import numpy as np

from degradations import apply
from realciao.commands.each_image import each_image
from realciao.commands.jobs import mirror, refuse_existing
from realciao.errors import UserError
from realciao.files import atomic_write
from realciao.images.reading import from_float, read_rgb, write_image
from realciao.recipe_views.plans import MakePlan, drawn_plans, load_pipeline, replayed_plan, user_error


def run(args: argparse.Namespace) -> int:
    """Writes STEM.png and STEM.json for every image; returns the exit status."""
    jobs = {job.source: job.target for job in mirror(args.input, args.output, lambda source: f"{source.stem}.png")}
    if not args.overwrite:
        refuse_existing(path for target in jobs.values() for path in (target, target.with_suffix(".json")))
    make_plan = plans_of(args)

    def degrade(number: int, source: Path) -> None:
        image = read_rgb(source)
        with user_error(source):
            plan = make_plan(number, image.shape[:2])
            lq = apply(plan, image)
        plan_file = jobs[source].with_suffix(".json")
        atomic_write(plan_file, json.dumps(plan, indent=1) + "\n")  # first, so that no image is without its plan
        try:
            write_image(jobs[source], from_float(lq, np.uint8))
        except UserError:
            plan_file.unlink(missing_ok=True)
            raise

    failed = each_image(list(jobs), degrade)
    print(f"{len(jobs) - failed} of {len(jobs)} images degraded into {args.output}")
    return 1 if failed else 0


def plans_of(args: argparse.Namespace) -> MakePlan:
    """What the options say of the plans."""
    if args.replay:
        return replayed_plan(args.replay)
    return drawn_plans(load_pipeline(args.pipeline), args.scale[0], args.seed)
