"""Shows how a CiaoSR's attention weighs the four LR pixels around each pixel of its result, beside LIIF's area weights.

The picture has two rows, the one by area weights (bilinear interpolation), the other by the learned weights: which pixel
weighs most, how much it weighs, the four pixels blended by these weights; and behind them how much of the weight the
attention moved, and the network's result.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from realciao.cli import Parser, command

DEFAULT_EDGE_PX = 24


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = Parser(prog="show_attention.py", description=__doc__)
    add = parser.add_argument
    add("-i", "--input", type=Path, required=True, metavar="PHOTO")
    add("-o", "--output", type=Path, required=True, metavar="OUT.png", help="the picture: .png, .jpg, .webp, ...")
    add("-m", "--model_path", type=Path, required=True, metavar="WEIGHTS", help="of a network with a CiaoSRDecoder")
    add("--scale", type=float, default=8.0, help="any number of 1 or more (default: %(default)g)")
    add(
        "--roi",
        type=int,
        nargs=4,
        metavar=("Y0", "X0", "Y1", "X1"),
        help=f"the part that is shown, in pixels of PHOTO (default: {DEFAULT_EDGE_PX}x{DEFAULT_EDGE_PX} in the middle)",
    )
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; exit status 2 when it cannot be done."""
    args = build_parser().parse_args(argv)
    from realciao.errors import UserError
    from realciao.images.reading import read_rgb, write_image
    from realciao.upscaling.attention_picture import draw_ensemble, moved_share
    from realciao.upscaling.attention_weights import read_ensemble
    from realciao.weights.checkpoint import load_weights

    if args.output.exists() and not args.overwrite:
        raise UserError(f"{args.output}: is there already; --overwrite replaces it")
    if not 1 <= args.scale <= 100:
        raise UserError(f"--scale {args.scale:g} is not a number from 1 to 100")
    photo = read_rgb(args.input)
    y0, x0, y1, x1 = middle(photo.shape[:2]) if args.roi is None else args.roi
    ensemble = read_ensemble(load_weights(args.model_path), photo, args.scale, (y0, x0, y1, x1))
    write_image(args.output, draw_ensemble(ensemble))
    agree = (ensemble.learned.argmax(axis=0) == ensemble.area.argmax(axis=0)).mean()
    print(
        f"{args.output}: attention moved {moved_share(ensemble).mean():.0%} of the weight; the pixel that weighs most is "
        f"the nearest one for {agree:.0%} of the queries, and weighs {ensemble.learned.max(axis=0).mean():.2f} in the mean "
        f"({ensemble.area.max(axis=0).mean():.2f} by area)"
    )
    return 0


def middle(size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The region (y0, x0, y1, x1) in the middle of an image, DEFAULT_EDGE_PX a side or as large as the image."""
    (y0, y1), (x0, x1) = (((n - edge) // 2, (n + edge) // 2) for n in size if (edge := min(n, DEFAULT_EDGE_PX)))
    return y0, x0, y1, x1
