"""Upscales photos and folders of photos at any scale."""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from realciao.cli import Parser, command
from realciao.commands.ending import tidy_when_ended
from realciao.commands.infer_journal import Journal
from realciao.commands.jobs import Job, expand, mirror, refuse_existing
from realciao.errors import UserError
from realciao.files import check_folder, remove_abandoned
from realciao.images.paths import is_image_path
from realciao.weights.shipped import needed_files, shipped_for

if TYPE_CHECKING:
    from realciao.upscaling.sizes import Roi, SizeRequest


def build_parser() -> argparse.ArgumentParser:
    """The command's options: Real-ESRGAN's names where it has them."""
    parser = Parser(prog="infer.py", description=__doc__)
    add = parser.add_argument
    inputs = "images, folders (searched in depth), or patterns like 'holiday/*.jpg'"
    add("-i", "--input", nargs="+", action="extend", help=inputs)
    tree = "folder for the results; it mirrors the input's tree (default: results)"
    add("-o", "--output", default="results", help=tree)
    _add_sizes(parser.add_argument_group("size of the results, one of"))

    network = parser.add_argument_group("network")
    add = network.add_argument
    names = "a name that --list_models lists, or a file, ours or a checkpoint of an x2, x3 or x4 network (.pth, .safetensors); "
    names += "two, stage 1's and stage 2's, with --denoise (default: real)"
    add("-m", "--model_path", nargs="+", metavar="WEIGHTS", help=names)
    add(
        "--list_models",
        action="store_true",
        help="print all names, with sizes, costs and licences; with --json as lines",
    )
    between = "between two weights: 1 is the first (smooth), 0 the second (sharp); without -m, real and classical"
    add("-dn", "--denoise", "--denoise_strength", type=float, metavar="D", help=between)
    add("--ensemble", action="store_true", help="mean of eight flips and turns, in eight times the time")
    again = "make the shrunk result agree with the input, N times (3 is enough; not for noisy photos)"
    add("--back_projection", type=int, default=0, metavar="N", help=again)
    add("--max_step", type=float, metavar="S", help="reach larger scales in steps of at most S (default: at once)")

    machine = parser.add_argument_group("machine")
    add = machine.add_argument
    add("-t", "--tile", type=int, help="edge of a tile in input pixels, 0 for none (default: by the memory there is)")
    add("--tile_pad", type=int, help="input pixels that a tile sees beyond its edge (default: what the network needs)")
    add("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    types = ["auto", "float32", "bfloat16", "float16"]
    add("--dtype", choices=types, default="auto", help="default: bfloat16 where CUDA has it, else float32")
    add("--fp32", dest="dtype", action="store_const", const="float32", help="the same as --dtype float32")

    files = parser.add_argument_group("files")
    add = files.add_argument
    add("--suffix", default="", help="added to the name of every result (default: none)")
    kinds = ["auto", "png", "jpg", "webp", "tif", "bmp"]
    add("--ext", default="auto", choices=kinds, help="default: auto, the input's")
    add("--quality", type=int, default=95, help="of JPEG and WebP, 1 to 100 (default: %(default)s)")
    colours = "of JPEG's colours (default: %(default)s)"
    add("--subsampling", choices=["4:4:4", "4:2:2", "4:2:0"], default="4:4:4", help=colours)
    add("--overwrite", action="store_true", help="replace results that exist")
    add("--resume", action="store_true", help="leave out what an earlier run with the same options has done")
    add("--allow_truncated", action="store_true", help="decode what there is of a file that breaks off")
    add("--json", action="store_true", help="print one JSON object an image, and nothing else, on standard output")
    return parser


def _add_sizes(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    scales = "any number above 0, e.g. 2.37, or two, 2x1.5, along x and y (default: 4)"
    add("-s", "--scale", "--outscale", metavar="S", help=scales)
    add("--size", metavar="WxH", help="width and height, e.g. 1920x1080")
    for side in ("width", "height", "long_side", "short_side"):
        add(f"--{side}", type=int, metavar="N", help=f"the {side.replace('_', ' ')} in pixels")
    add("--mp", type=float, metavar="N", help="megapixels")
    region = "make only what becomes of this part of the input, in pixels from its upper left corner"
    add("--roi", metavar="X,Y,W,H", help=region)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; exit status 1 when an image failed, 2 when nothing was begun."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.list_models:
        from realciao.commands.infer_models import list_models

        print(list_models(args.json))
        return 0
    if not args.input:
        parser.error("the following arguments are required: -i/--input")
    if not 1 <= args.quality <= 100:
        raise UserError(f"--quality {args.quality} is not from 1 to 100")
    if args.max_step is not None and not 1 < args.max_step <= 100:
        raise UserError(f"--max_step {args.max_step:g} is not a scale above 1")
    if not args.output:
        raise UserError("-o '': no name of a folder")
    jobs = mirror(expand(args.input), Path(args.output), lambda source: result_name(source, args.suffix, args.ext))
    journal = Journal(Path(args.output), _what_matters(args), args.resume)
    jobs, device = _share(jobs, args.device)
    todo = [job for job in jobs if not journal.has_done(job)]
    if not args.overwrite:
        refuse_existing(job.target for job in todo if not journal.knows(job))
    size, roi = _size_request(args), _roi(args.roi)

    from realciao.commands.infer_run import upscale_all
    from realciao.upscaling.photo_file import Task
    from realciao.upscaling.upscaler import Upscaler

    task = Task(size, roi, args.max_step, args.allow_truncated, args.quality, args.subsampling)
    upscaler = Upscaler.from_file(
        args.model_path,
        device,
        args.tile,
        args.tile_pad,
        denoise=args.denoise,
        dtype=args.dtype,
        ensemble=args.ensemble,
        back_projection=args.back_projection,
    )
    check_folder(args.output)
    if args.resume:
        remove_abandoned({job.target.parent for job in todo})
    skipped = len(jobs) - len(todo)
    options = {"overwrite": args.overwrite, "as_json": args.json, "skipped": skipped}
    with tidy_when_ended():
        return upscale_all(upscaler, todo, task, journal, Path(args.output), **options)


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


def _share(jobs: Sequence[Job], device: str) -> tuple[Sequence[Job], str]:
    """Of several processes (`accelerate launch`), each takes its share, on a device of its own."""
    try:
        defaults = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0}
        rank, processes, local_rank = (int(os.environ.get(name, default)) for name, default in defaults.items())
    except ValueError as error:
        raise UserError(f"RANK, WORLD_SIZE or LOCAL_RANK: {error}") from None
    if not 0 <= rank < processes:
        raise UserError(f"RANK {rank} is not below WORLD_SIZE {processes}")
    if processes > 1 and device in ("auto", "cuda"):
        import torch

        if torch.cuda.is_available():
            device = f"cuda:{local_rank % torch.cuda.device_count()}"
    return jobs[rank::processes], device


def _what_matters(args: argparse.Namespace) -> dict[str, object]:
    """The options that change what a result holds, with the weights' files as they are now."""
    names = ("size", "width", "height", "long_side", "short_side", "mp", "roi", "denoise", "ensemble", "max_step")
    names += ("back_projection", "quality", "subsampling", "allow_truncated", "tile_pad", "dtype")
    files = [file for name in args.model_path or shipped_for(args.denoise) for file in needed_files(name)]
    stamps = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    return {"scale": args.scale, **{name: getattr(args, name) for name in names}, "weights": stamps}


def _size_request(args: argparse.Namespace) -> "SizeRequest":
    """What the options ask of every image, checked as far as can be without one."""
    from realciao.upscaling.sizes import SizeError, SizeRequest, count_pixels

    sides = {name: getattr(args, name) for name in ("width", "height", "long_side", "short_side")}
    given = [name for name, value in {**sides, "scale": args.scale, "size": args.size, "mp": args.mp}.items() if value]
    for name, value in {**sides, "mp": args.mp}.items():
        if value is not None and not value > 0:
            raise SizeError(f"--{name} {value} is not above 0")
    if len(given) > 1:
        raise SizeError(f"--{' and --'.join(given)}: give one of them")
    if args.size is not None:
        match = re.fullmatch(r"(\d{1,9})[xX](\d{1,9})", args.size)
        if not match:
            raise SizeError(f"--size '{args.size}' is not WIDTHxHEIGHT, e.g. 1920x1080")
        count_pixels(int(match[2]), int(match[1]))
        return SizeRequest(size=(int(match[2]), int(match[1])))
    if args.mp is not None or any(value is not None for value in sides.values()):
        return SizeRequest(**sides, megapixels=args.mp)
    text = "4" if args.scale is None else args.scale
    try:
        x, _, y = text.lower().partition("x")
        scale = (float(y or x), float(x))
    except ValueError:
        raise SizeError(f"--scale '{text}' is no number, nor two like 2x1.5") from None
    request = SizeRequest(scale=scale)
    request.resolve((1, 1))
    return request


def _roi(text: str | None) -> "Roi | None":
    from realciao.upscaling.sizes import SizeError

    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})", text)
    if not match:
        raise SizeError(f"--roi '{text}' is not X,Y,WIDTH,HEIGHT, e.g. 100,50,320,240")
    x, y, width, height = map(int, match.groups())
    return y, x, y + height, x + width
