"""Turns a checkpoint into a weights file that names its own network, without running any code that the checkpoint holds.

A released CiaoSR is converted whole. So is a teacher, a network for one scale (Real-ESRGAN, BSRGAN and others): to weights of
ours, which give its own result at any size, or, where OUT ends in .pth, to a checkpoint as BasicSR reads it. With --network,
the encoder of that option file's network takes the weights of a trained one (BasicSR, SwinIR, Real-ESRGAN, BSRGAN, LIIF, LTE)
and the decoder is fresh: a start for training, given as path.pretrain_network_g. With --blend, two weights of one network
become those between them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realciao.cli import Parser, command

if TYPE_CHECKING:
    from torch import nn


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = Parser(prog="convert_weights.py", description=__doc__)
    add = parser.add_argument
    add(
        "input",
        metavar="IN",
        help="a checkpoint, .pth or .safetensors, or weights of ours (kept as they are), by file or by a name that "
        "infer.py --list_models lists",
    )
    add("output", type=Path, metavar="OUT", help=".safetensors, or .pth for a teacher")
    add("--no_res", action="store_true", help="the network adds no bilinear residual (the released real-world models)")
    add("--local_size", type=int, choices=[1, 2], default=2, help="neighbours per axis (default: %(default)s)")
    add("--network", type=Path, metavar="OPTIONS.yml", help="load IN into the encoder of this file's network_g")
    add("--img_range", type=float, default=1.0, help="with --network: 255 for an EDSR or RCAN of BasicSR's")
    add(
        "--blend",
        nargs=2,
        metavar=("OTHER", "SHARE"),
        help="give OUT so much of the weights OTHER, from 0 to 1, and of IN the rest (network interpolation)",
    )
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; exit status 2 when the checkpoint cannot be read or is of another network, or OUT cannot be written."""
    args = build_parser().parse_args(argv)
    from realciao.errors import UserError
    from realciao.weights.checkpoint import save_weights

    if args.output.suffix not in (".safetensors", ".pth"):  # which it would be taken for when it is read
        raise UserError(f"{args.output}: give a name that ends in .safetensors, or in .pth for a teacher")
    if args.output.exists() and not args.overwrite:
        raise UserError(f"{args.output}: is there already; --overwrite replaces it")
    if args.output.suffix == ".pth":
        return _write_pth(args)
    net, notes = _with_encoder(args) if args.network else _whole(args)
    if args.blend:
        other, share = args.blend
        notes.pop("teacher", None)  # the blended network tells of both
        net, notes = _blended(net, other, share), {**notes, "blended_with": f"{Path(other).name} {share}"}
    save_weights(net, args.output, **{"converted_from": Path(args.input).name, **notes})
    print(f"{args.output}: {sum(p.numel() for p in net.parameters()):,} parameters")
    return 0


def _write_pth(args: argparse.Namespace) -> int:
    """Writes a teacher as BasicSR's checkpoint."""
    from realciao.errors import UserError
    from realciao.weights.checkpoint import is_teacher
    from realciao.weights.pth import write_pth
    from realciao.weights.shipped import find_weights
    from realciao.weights.teachers import read_teacher

    if args.network or args.blend:
        raise UserError(f"{args.output}: what --network and --blend make is written as .safetensors")
    find_weights(args.input)
    if not is_teacher(args.input):
        raise UserError(f"{args.input}: for any scale, which no .pth of BasicSR's is; give OUT.safetensors")
    teacher = read_teacher(args.input)
    write_pth(teacher, args.output)
    parameters = sum(p.numel() for p in teacher.build().parameters())
    print(f"{args.output}: {parameters:,} parameters, x{teacher.scale}; licence: {teacher.licence}")
    return 0


def _whole(args: argparse.Namespace) -> "tuple[nn.Module, dict[str, Any]]":
    """The network that the checkpoint holds, and the notes that it came with."""
    from realciao.errors import UserError
    from realciao.weights.catalogue import TEACHERS
    from realciao.weights.checkpoint import is_teacher, load_weights
    from realciao.weights.header import read_header
    from realciao.weights.published import from_published, is_published
    from realciao.weights.shipped import find_weights
    from realciao.weights.state import read_state_dict

    path = find_weights(args.input)
    if not is_teacher(args.input):
        header = read_header(path)
        return load_weights(path), {key: header[key] for key in header.keys() - {"format", "spec"}}
    weights = {} if args.input in TEACHERS else read_state_dict(path)
    if is_published(weights):
        try:
            return from_published(weights, res=not args.no_res, local_size=args.local_size), {}
        except UserError as error:
            raise UserError(f"{args.input}: {error}") from error
    try:
        return load_weights(args.input), {}
    except UserError as error:
        raise UserError(f"{error}; weights of an encoder alone need --network OPTIONS.yml") from error


def _blended(net: "nn.Module", other: str, share: str) -> "nn.Module":
    from realciao.errors import UserError
    from realciao.weights.checkpoint import blend_weights, load_weights

    try:
        return blend_weights(net, load_weights(other), float(share))
    except UserError as error:
        raise UserError(f"--blend: {error}") from error
    except ValueError as error:
        raise UserError(f"--blend: '{share}' is no number") from error


def _with_encoder(args: argparse.Namespace) -> "tuple[nn.Module, dict[str, Any]]":
    """The network of the option file, as a run of that file would begin with it but for the encoder's weights."""
    import torch

    from realciao.errors import OptionError, UserError
    from realciao.options.run import load_options
    from realciao.weights.catalogue import TEACHERS
    from realciao.weights.networks import build_network
    from realciao.weights.pretrained import load_encoder
    from realciao.weights.shipped import find_weights
    from realciao.weights.state import read_state_dict
    from realciao.weights.teachers import read_teacher

    options = load_options([args.network])
    weights = read_teacher(args.input).tensors if args.input in TEACHERS else read_state_dict(find_weights(args.input))
    torch.manual_seed(options.manual_seed)
    try:
        net = build_network(options.network_g)
        load_encoder(net, weights, args.img_range)
    except OptionError as error:
        raise OptionError(error.path, error.problem, options.locate(error.path).removesuffix(": ")) from error
    except UserError as error:
        raise UserError(f"{args.input}: {error}") from error
    return net, {"decoder": "untrained"}
