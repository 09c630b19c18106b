"""The gallery: what a recipe, or a plan, does to images step by step."""

import argparse
from pathlib import Path

from realciao.commands.degrade_pairs import plans_of
from realciao.commands.each_image import each_image
from realciao.commands.jobs import mirror, refuse_existing
from realciao.errors import UserError
from realciao.files import atomic_write
from realciao.images.reading import read_rgb, write_image
from realciao.recipe_views.gallery import Exhibit, show
from realciao.recipe_views.gallery_page import build_page
from realciao.recipe_views.gallery_sheet import draw_sheet
from realciao.recipe_views.plans import user_error

MAX_IMAGES = 24
"""More would be a page that no browser opens gladly."""


def run(args: argparse.Namespace) -> int:
    """Writes gallery.html and gallery.png; returns the exit status."""
    sources = [job.source for job in mirror(args.input, args.output, lambda source: source.name)]
    page, sheet = args.output / "gallery.html", args.output / "gallery.png"
    if not args.overwrite:
        refuse_existing((page, sheet))
    make_plan = plans_of(args)
    root = args.input if args.input.is_dir() else args.input.parent
    exhibits: list[Exhibit] = []

    def exhibit(number: int, source: Path) -> None:
        image = read_rgb(source)
        with user_error(source):
            plan = make_plan(number, image.shape[:2])
            exhibits.append(show(source.relative_to(root).as_posix(), plan, image))

    failed = each_image(sources[:MAX_IMAGES], exhibit)
    if not exhibits:
        raise UserError("no image could be shown")
    atomic_write(page, build_page(_title(args), exhibits))
    write_image(sheet, draw_sheet(exhibits))
    more = f", the first of {len(sources)}" if len(sources) > MAX_IMAGES else ""
    print(f"{len(exhibits)} images{more}, step by step: {page}, {sheet}")
    return 1 if failed else 0


def _title(args: argparse.Namespace) -> str:
    if args.replay:
        return f"The plan {args.replay.name}"
    return f"{Path(args.pipeline).stem} at x{args.scale[0]:g}, seed {args.seed}"
