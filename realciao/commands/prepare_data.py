"""Prepares data sets: cuts photos, packs them as LMDB, checks them, and makes training pairs with a teacher."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from realciao.cli import Parser, command
from realciao.commands.progress_line import ProgressLine
from realciao.errors import UserError
from realciao.files import atomic_write, check_folder


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="prepare_data.py", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    cut = actions.add_parser("subimages", help="cut photos into overlapping squares, as BasicSR's script does")
    cut.add_argument("-i", "--input", type=Path, required=True, help="folder of photos, searched in depth")
    cut.add_argument("-o", "--output", type=Path, required=True, help="folder for the squares")
    cut.add_argument("--crop_size", type=_positive, default=480, help="edge of a square (default: %(default)s px)")
    cut.add_argument("--step", type=_positive, default=240, help="from square to square (default: %(default)s px)")
    cut.add_argument(
        "--thresh_size", type=int, default=0, help="rest of an axis that is too little for one more square (default: 0)"
    )
    cut.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    cut.set_defaults(run=_subimages)

    pack = actions.add_parser("lmdb", help="pack a folder as one LMDB in BasicSR's layout")
    pack.add_argument("-i", "--input", type=Path, required=True, help="folder of images, searched in depth")
    pack.add_argument("-o", "--output", type=Path, required=True, metavar="NAME.lmdb")
    pack.set_defaults(run=_lmdb)

    check = actions.add_parser(
        "check", help="known sets complete? files sound? duplicates? test images in the training set?"
    )
    check.add_argument("train", type=Path, nargs="+", help="folders or .lmdb of training images")
    check.add_argument("--test", type=Path, nargs="+", default=[], help="folders of images to judge by")
    check.add_argument("--min_size", type=int, default=0, help="shorter side that an image should have, in px")
    check.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    check.add_argument("-o", "--output", type=Path, help="folder for data_check.md and data_check.json")
    check.set_defaults(run=_check)

    lessons = actions.add_parser(
        "teach", help="degrade photos and store a teacher's results: pairs for training without running the teacher"
    )
    add = lessons.add_argument
    photos = "folders of photos (searched in depth), or builtin: those of scikit-image's wheel"
    add("-i", "--input", nargs="+", required=True, metavar="PHOTOS", help=photos)
    add("-o", "--output", type=Path, required=True, help="folder for the pairs; what it holds already is kept")
    models = "realesrgan-x4plus or another name (infer.py --list_models), or a model file (default: %(default)s)"
    add("--teacher", default="realesrgan-x4plus", metavar="NAME_OR_PATH", help=models)
    add("--pipeline", default="realesrgan", metavar="NAME_OR_YML", help="degradation recipe (default: %(default)s)")
    add("-n", "--count", type=_positive, required=True, help="pairs in all")
    add("--lq_size", type=_positive, default=48, help="edge of an LR patch (default: %(default)s px)")
    scales = "range of the degradations' scales (default: 1 4)"
    add("--scale_range", type=float, nargs=2, default=(1.0, 4.0), metavar=("LOW", "HIGH"), help=scales)
    add("--seed", type=int, default=0, help="of every random choice (default: 0)")
    add(
        "--gt", action="store_true", help="keep the originals too: for `target: gt`, and for scales above the teacher's"
    )
    add(
        "--features",
        action="store_true",
        help="keep the map of the teacher's trunk too: students built on it need not run the trunk",
    )
    add("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    types = ["auto", "float32", "bfloat16", "float16"]
    add("--dtype", choices=types, default="auto", help="default: bfloat16 where CUDA has it, else float32")
    lessons.set_defaults(run=_teach)
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    return args.run(args)


def _subimages(args: argparse.Namespace) -> int:
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial

    from realciao.images.paths import list_images
    from realciao.preparing.subimages import Grid, sub_name

    paths = list_images(args.input)
    check_folder(args.output)
    if args.output.exists() and any(args.output.iterdir()):
        raise UserError(f"{args.output} is not empty; give another folder with -o")
    by_name: dict[str, Path] = {}
    for path in paths:
        name = sub_name(path.stem, 1)
        if by_name.setdefault(name, path) != path:
            raise UserError(f"{by_name[name]} and {path} would both be cut into {name}; rename one of the two")
    cut = partial(_cut, folder=args.output, grid=Grid(args.crop_size, args.step, args.thresh_size))
    squares = failed = 0
    with closing(ProgressLine(len(paths))) as line, ProcessPoolExecutor(max(1, args.workers)) as pool:
        for done, (path, result) in enumerate(zip(paths, pool.map(cut, paths), strict=True), start=1):
            if isinstance(result, str):
                failed += 1
                line.close()
                print(f"error: {result}", file=sys.stderr)
            else:
                squares += result
            line.show(done, path.name)
    print(f"{squares} sub-images of {len(paths) - failed} of {len(paths)} photos in {args.output}")
    return 1 if failed else 0


def _cut(path: Path, folder: Path, grid: tuple[int, int, int]) -> int | str:
    """How many squares were written, or what went wrong."""
    from realciao.preparing.subimages import Grid, cut_file

    try:
        return cut_file(path, folder, Grid(*grid))
    except UserError as error:
        return str(error)


def _lmdb(args: argparse.Namespace) -> int:
    from realciao.images.paths import list_images
    from realciao.preparing.lmdb_writer import write_lmdb

    paths = list_images(args.input)
    with closing(ProgressLine(len(paths))) as line:
        total = write_lmdb(paths, args.output, lambda done, path: line.show(done, path.name))
    print(f"{len(paths)} images, {total / 2**20:.1f} MiB, in {args.output}; use it as dataroot_gt: {args.output}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from realciao.images.paths import list_images
    from realciao.preparing.check import compare_all, look_through, to_json, to_markdown
    from realciao.preparing.layouts import find_layouts

    if args.output:
        check_folder(args.output)
    roots = [*args.train, *args.test]
    layouts = [finding for root in roots if root.suffix != ".lmdb" for finding in find_layouts(root)]
    train, test = ([path for root in group for path in list_images(root)] for group in (args.train, args.test))
    with closing(ProgressLine(len(train) + len(test))) as line:
        facts = look_through(
            [*train, *test], args.min_size, args.workers, lambda done, path: line.show(done, path.name)
        )
    report = compare_all(layouts, facts[: len(train)], facts[len(train) :])
    text = to_markdown(report)
    print(text, end="")
    if args.output:
        atomic_write(args.output / "data_check.md", text)
        atomic_write(args.output / "data_check.json", json.dumps(to_json(report), indent=1) + "\n")
    return 1 if report.faults else 0


def _teach(args: argparse.Namespace) -> int:
    low, high = args.scale_range
    if not 1 <= low <= high <= 30:
        raise UserError(f"--scale_range {low:g} {high:g}: expected 1 <= LOW <= HIGH <= 30")
    if args.seed < 0:
        raise UserError(f"--seed {args.seed}: give 0 or more")
    check_folder(args.output)

    from realciao.data.build import build_recipe
    from realciao.machine.devices import choose_device, choose_dtype
    from realciao.preparing.teach import Lessons, open_folder, teach
    from realciao.weights.teachers import read_teacher
    from realciao.weights.teaching import RunningTeacher

    build_recipe(args.pipeline)
    teacher = read_teacher(args.teacher)
    device = choose_device(args.device)
    dtype = choose_dtype(args.dtype, device)
    lessons = Lessons(
        args.input, args.pipeline, args.count, args.lq_size, (low, high), args.seed, args.gt, args.features
    )
    running = RunningTeacher(teacher, device, dtype, args.features)
    open_folder(args.output, lessons, teacher, str(dtype).removeprefix("torch."))
    with closing(ProgressLine(args.count, "pairs")) as line:

        def show(done: int, todo: int) -> None:
            line.total = todo
            line.show(done, teacher.name)

        made = teach(lessons, running, args.output, show)
    print(f"{made} pairs made, {args.count} in all, in {args.output}; train with dataroot: {args.output}")
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return value
