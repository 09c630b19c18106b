"""`degrade.py --extract_noise`: cuts patches of nothing but noise out of photos, for the recipes' NoisePool."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from realciao.commands.each_image import each_image
from realciao.commands.jobs import mirror, refuse_existing
from realciao.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the extraction, beside the command's own."""
    group = parser.add_argument_group(
        "noise pool", "Instead of degrading: cuts the flat places out of photos, as a pool for the step NoisePool."
    )
    add = group.add_argument
    add("--extract_noise", action="store_true", help="write STEM_TOP_LEFT.png for every patch of every photo")
    add("--patch_px", type=int, default=256, help="side of a patch (default: %(default)s)")
    add("--max_variance", type=float, default=20, help="of the luma, in 8-bit levels squared (default: %(default)g)")
    add("--min_mean", type=float, default=0, help="of the luma, in 8-bit levels; above this (default: %(default)g)")


def extract_noise(args: argparse.Namespace) -> int:
    """Writes the patches of all photos; exit status 1 where some could not be read."""
    import numpy as np

    from realciao.images.reading import from_float, read_rgb, write_image

    if args.patch_px < 8 or args.max_variance <= 0:
        raise UserError("--patch_px must be 8 or more, and --max_variance above 0")
    jobs = mirror(args.input, args.output, lambda source: f"{source.stem}.png")
    if not args.overwrite:
        refuse_existing(sorted(args.output.rglob("*.png")))
    found: list[int] = []

    def extract(number: int, source: Path) -> None:
        photo, target = from_float(read_rgb(source), np.uint8), jobs[number].target
        patches = list(flat_patches(photo, args.patch_px, args.max_variance, args.min_mean))
        for top, left, patch in patches:
            write_image(target.with_name(f"{target.stem}_{top}_{left}.png"), patch)
        found.append(len(patches))

    failed = each_image([job.source for job in jobs], extract)
    if not any(found):
        raise UserError(
            f"{args.input}: no flat place of {args.patch_px}x{args.patch_px} with noise in it in {len(jobs) - failed} images; "
            "take photos with sky, walls or defocused ground, or try a smaller --patch_px or a higher --max_variance"
        )
    print(f"{sum(found)} patches from {np.count_nonzero(found)} of {len(jobs)} images in {args.output}")
    return 1 if failed else 0


def flat_patches(
    photo: "UInt8[np.ndarray, 'h w 3']", patch_px: int, max_variance: float, min_mean: float
) -> "Iterator[tuple[int, int, UInt8[np.ndarray, 'p p 3']]]":
    """(top, left, patch) of the squares of a grid whose luma varies little but does, and is bright enough.

    RealSR's rule, which asks for a variance below 20 and a mean above 0 (DF2K) or 50 (DPED). A square of one colour,
    black, blown out or painted, holds no noise and is left out.
    """
    import numpy as np

    from degradations.pixels import LUMA

    for top in range(0, photo.shape[0] - patch_px + 1, patch_px):
        for left in range(0, photo.shape[1] - patch_px + 1, patch_px):
            patch = photo[top : top + patch_px, left : left + patch_px]
            luma = patch @ np.array(LUMA)
            if np.ptp(patch, (0, 1)).any() and luma.var() < max_variance and luma.mean() > min_mean:
                yield top, left, patch
