"""Upscales a photo, or a folder of photos, at any scale."""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realciao.commands import Parser, command
from realciao.errors import UserError
from realciao.image_paths import is_image_path, list_images

if TYPE_CHECKING:
    from realciao.inference import Upscaler

Job = tuple[Path, Path]
"""An input file and its output file."""

REPORT_EVERY_S = 10
"""Between progress lines where standard error is no terminal."""


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
    jobs = plan_jobs(Path(args.input), Path(args.output), args.suffix, args.ext)
    if not args.overwrite:
        refuse_existing(jobs)

    from realciao.inference import Upscaler

    request = _size_request(args)
    upscaler = Upscaler.from_file(args.model_path, args.device, args.tile, args.tile_pad)
    return upscale_all(upscaler, jobs, request, args.allow_truncated, Path(args.output))


def plan_jobs(source: Path, folder: Path, suffix: str, ext: str) -> list[Job]:
    """Every input with its output, `folder`/TREE/STEM + suffix + extension.

    Raises:
        UserError: nothing to read, two inputs with one output, or an output folder or format that cannot be.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: the output is a file, not a folder")
    if source.is_dir():
        # results of an earlier run, written below the photos, are none
        nested = folder.resolve() != source.resolve() and folder.resolve().is_relative_to(source.resolve())
        inputs = [
            path for path in list_images(source) if not (nested and path.resolve().is_relative_to(folder.resolve()))
        ]
        root = source
    elif source.exists():
        inputs, root = [source], source.parent
    else:
        raise UserError(f"{source}: no such file or folder")
    if "/" in suffix or os.sep in suffix:
        raise UserError(f"--suffix '{suffix}' is no part of a file name")

    jobs: dict[str, Job] = {}
    for path in inputs:
        ending = path.suffix if ext == "auto" else f".{ext}"
        target = folder / path.relative_to(root).with_name(f"{path.stem}{suffix}{ending}")
        if not is_image_path(f"x{ending}"):
            raise UserError(f"{path}: no image is written as '{ending}'; give --ext png")
        other, _ = jobs.setdefault(os.path.normcase(target), (path, target))
        if other != path:
            raise UserError(f"{other} and {path} would both be written to {target}; use --ext auto, or rename one")
    return list(jobs.values())


def refuse_existing(jobs: Sequence[Job]) -> None:
    """Raises a UserError where a result would replace a file."""
    existing = [target for _, target in jobs if os.path.lexists(target)]
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UserError(f"{existing[0]} exists{more}; give --overwrite, a --suffix, or another folder with -o")


def upscale_all(
    upscaler: "Upscaler", jobs: Sequence[Job], request: dict[str, Any], allow_truncated: bool, folder: Path
) -> int:
    """Upscales one image after the other; one that fails is reported and the rest goes on. Returns the exit status."""
    from realciao.image import ImageError, read_image, write_image
    from realciao.inference import SizeError

    report = _Report(len(jobs))
    written, megapixels, seconds = 0, 0.0, 0.0
    for number, (path, target) in enumerate(jobs):
        began = time.perf_counter()
        try:
            image = read_image(path, allow_truncated=allow_truncated)
            result = upscaler.upscale(
                image,
                **_resolve(request, image.shape[:2]),
                progress=lambda done, wanted, number=number, path=path: report.show(number, done / wanted, path),
            )
            write_image(target, result)
        except ImageError as error:
            report.fail(str(error))
        except SizeError as error:
            if len(jobs) == 1:
                raise  # it is the request that is wrong, not one image among many
            report.fail(f"{path}: {error}")
        except MemoryError:
            report.fail(f"{path}: out of memory; give a smaller scale or --tile")
        except RuntimeError as error:
            if "memory" not in str(error):
                raise
            report.fail(f"{path}: out of memory on {upscaler.device}; give a smaller --tile")
        else:
            written += 1
            megapixels += result.shape[0] * result.shape[1] / 1e6
            seconds += time.perf_counter() - began
    report.close()
    failed = f"; {len(jobs) - written} failed" if written < len(jobs) else ""
    speed = f", {seconds / megapixels:.2f} s per output megapixel" if written else ""
    print(f"{written} image{'s' * (written != 1)} written to {folder}{speed}{failed}")
    return 0 if written == len(jobs) else 1


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
    return {"scale": request["long_side"] / max(size)} if "long_side" in request else request


class _Report:
    """Progress and failures on standard error: one line that is renewed on a terminal, else a line now and then."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.live = sys.stderr.isatty()
        self.began = self.shown = time.monotonic()

    def show(self, number: int, share: float, path: Path) -> None:
        """Says that `share` of image `number` (counted from 0) is done."""
        now = time.monotonic()
        if now - self.shown < (0.2 if self.live else REPORT_EVERY_S):
            return
        self.shown = now
        done = number + share
        left = timedelta(seconds=round((now - self.began) * (self.total - done) / done))
        line = f"{number + 1}/{self.total} {path.name}: {share:.0%}, {left} left"
        print(f"\r\033[K{line}" if self.live else line, end="" if self.live else "\n", file=sys.stderr, flush=True)

    def fail(self, reason: str) -> None:
        """Reports an image that could not be done."""
        self.close()
        print(f"failed: {reason}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Wipes the line that is being renewed."""
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
