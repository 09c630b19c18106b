"""Writes the network of a weights file as ONNX: OUT_encoder.onnx and OUT_query.onnx, for images of any size and any scale.

The first runs once an image, the second once for each chunk of output pixels; docs/inference.md shows how, in forty lines.
With --scale it is one file, OUT.onnx, from "input" to "output", as models of one scale are.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from realciao.cli import Parser, command, natural


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = Parser(prog="export_onnx.py", description=__doc__)
    add = parser.add_argument
    add("weights", metavar="WEIGHTS", help="real, classical, or a .safetensors file that training wrote")
    add("output", type=Path, metavar="OUT", help="the files' path without _encoder.onnx and _query.onnx")
    add("--scale", type=natural, metavar="S", help="one file for this whole number, for programs that know x4 models")
    add("--overwrite", action="store_true", help="replace the files if they exist")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; exit status 2 when the weights cannot be read, ONNX is not installed or the files cannot be written."""
    args = build_parser().parse_args(argv)
    from realciao.errors import UserError
    from realciao.weights.checkpoint import is_teacher, load_weights
    from realciao.weights.header import read_header
    from realciao.weights.onnx_export import check_packages, export_fixed_onnx, export_onnx, onnx_path
    from realciao.weights.shipped import find_weights

    for path in [onnx_path(args.output, part) for part in ([""] if args.scale else ["encoder", "query"])]:
        if path.exists() and not args.overwrite:
            raise UserError(f"{path}: is there already; --overwrite replaces it")
    check_packages()
    header = {} if is_teacher(args.weights) else read_header(find_weights(args.weights))
    notes = {key: header[key] for key in header.keys() - {"format", "spec"}}
    net = load_weights(args.weights)
    whole = args.scale and export_fixed_onnx(net, args.output, args.scale, **notes)
    for path in [whole] if whole else export_onnx(net, args.output, **notes):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0
