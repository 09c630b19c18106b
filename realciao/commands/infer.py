"""Upscales a photo, or a folder of photos, at any scale."""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realciao.commands import Parser, command
from realciao.commands.jobs import Job, mirror, refuse_existing
from realciao.commands.progress_line import ProgressLine
from realciao.errors import UserError
from realciao.files import check_folder
from realciao.image_paths import is_image_path

if TYPE_CHECKING:
    from realciao.inference import Upscaler


def build_parser() -> argparse.ArgumentParser:
    """The command's options: Real-ESRGAN's names where it has them."""
    parser = Parser(prog="infer.py", description=__doc__)
    add = parser.add_argument
    add("-i", "--input", required=True, help="an image, or a folder, searched in depth")
    add(
        "-o",
        "--output",
        default="results",
        help="folder for the results; it mirrors the input's tree (default: results)",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("-s", "--scale", "--outscale", type=float, help="any number above 0, e.g. 2.37 (default: 4)")
    size.add_argument("--size", metavar="WxH", help="width and height of every result, e.g. 1920x1080")
    size.add_argument("--long_side", type=int, metavar="N", help="the longer side of every result, in pixels")
    add("-m", "--model_path", default="real", help="real, classical, or a weights file (default: real)")
    add("-t", "--tile", type=int, help="edge of a tile in input pixels, 0 for none (default: large images in tiles)")
    add("--tile_pad", type=int, help="input pixels that a tile sees beyond its edge (default: what the network needs)")
    add("--max_step", type=float, metavar="S", help="reach larger scales in steps of at most S (default: at once)")
    add("--suffix", default="", help="added to the name of every result (default: none)")
    add(
        "--ext", default="auto", choices=["auto", "png", "jpg", "webp", "tif", "bmp"], help="default: auto, the input's"
    )
    add("--overwrite", action="store_true", help="replace results that exist")
    add("--allow_truncated", action="store_true", help="decode what there is of a file that breaks off")
    add("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; exit status 1 when an image failed, 2 when nothing was begun."""
    args = build_parser().parse_args(argv)
    jobs = mirror(Path(args.input), Path(args.output), lambda source: result_name(source, args.suffix, args.ext))
    if not args.overwrite:
        refuse_existing(job.target for job in jobs)

    from realciao.inference import Upscaler

    request = _size_request(args)
    if args.max_step is not None:
        if not 1 < args.max_step <= 100:
            raise UserError(f"--max_step {args.max_step:g} is not a scale above 1")
        request["max_step"] = args.max_step
    upscaler = Upscaler.from_file(args.model_path, args.device, args.tile, args.tile_pad)
    check_folder(args.output)
    return upscale_all(upscaler, jobs, request, args.allow_truncated, Path(args.output))


def result_name(source: Path, suffix: str, ext: str) -> str:
    """The file name of an image's result: STEM + suffix + extension.

    Raises:
        UserError: a suffix or a format that cannot be.
    """
    if "/" in suffix or os.sep in suffix:
        raise UserError(f"--suffix '{suffix}' is no part of a file name")
    ending = source.suffix if ext == "auto" else f".{ext}"
    if not is_image_path(f"x{ending}"):
        raise UserError(f"{source}: no image is written as '{ending}'; give --ext png")
    return f"{source.stem}{suffix}{ending}"


def upscale_all(
    upscaler: "Upscaler", jobs: Sequence[Job], request: dict[str, Any], allow_truncated: bool, folder: Path
) -> int:
    """Upscales one image after the other; one that fails is reported and the rest goes on. Returns the exit status."""
    from realciao.image import read_image, write_image
    from realciao.inference import SizeError

    written, megapixels, seconds = 0, 0.0, 0.0
    with closing(ProgressLine(len(jobs))) as line:
        for number, (path, target) in enumerate(jobs):
            began = time.perf_counter()
            try:
                image = read_image(path, allow_truncated=allow_truncated)
                show = partial(_show, line, number, path.name)
                result = upscaler.upscale(image, **_resolve(request, image.shape[:2]), progress=show)
                write_image(target, result)
            except SizeError as error:
                if len(jobs) == 1:
                    raise  # it is the request that is wrong, not one image among many
                problem = f"{path}: {error}"
            except UserError as error:
                problem = str(error)
            except MemoryError:
                problem = f"{path}: out of memory; give a smaller scale or --tile"
            except RuntimeError as error:
                if "memory" not in str(error):
                    raise
                problem = f"{path}: out of memory on {upscaler.device}; give a smaller --tile"
            else:
                written += 1
                megapixels += result.shape[0] * result.shape[1] / 1e6
                seconds += time.perf_counter() - began
                continue
            line.close()
            print(f"failed: {problem}", file=sys.stderr, flush=True)
    failed = f"; {len(jobs) - written} failed" if written < len(jobs) else ""
    speed = f", {seconds / megapixels:.2f} s per output megapixel" if written else ""
    print(f"{written} image{'s' * (written != 1)} written to {folder}{speed}{failed}")
    return 0 if written == len(jobs) else 1


def _show(line: ProgressLine, number: int, name: str, done_px: int, wanted_px: int) -> None:
    share = done_px / wanted_px
    line.show(number + share, f"{name}: {share:.0%}")


def _size_request(args: argparse.Namespace) -> dict[str, Any]:
    """What the options ask of every image, checked as far as can be without one."""
    from realciao.inference import SizeError, count_pixels, output_size

    if args.long_side is not None:
        if args.long_side < 1:
            raise SizeError(f"--long_side {args.long_side} is not 1 pixel or more")
        return {"long_side": args.long_side}
    if args.size is not None:
        match = re.fullmatch(r"(\d{1,9})[xX](\d{1,9})", args.size)
        if not match:
            raise SizeError(f"--size '{args.size}' is not WIDTHxHEIGHT, e.g. 1920x1080")
        count_pixels(int(match[2]), int(match[1]))
        return {"size": (int(match[2]), int(match[1]))}
    scale = 4.0 if args.scale is None else args.scale
    output_size((1, 1), scale, None)
    return {"scale": scale}


def _resolve(request: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    if "long_side" not in request:
        return request
    return {
        **{key: value for key, value in request.items() if key != "long_side"},
        "scale": request["long_side"] / max(size),
    }
