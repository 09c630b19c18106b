"""Turns a checkpoint into a weights file that names its own network, without running any code that the checkpoint holds."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from realciao.commands import Parser, command


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = Parser(prog="convert_weights.py", description=__doc__)
    add = parser.add_argument
    add("input", type=Path, metavar="IN", help="a released CiaoSR checkpoint, .pth or .safetensors")
    add("output", type=Path, metavar="OUT.safetensors")
    add("--no_res", action="store_true", help="the network adds no bilinear residual (the released real-world models)")
    add("--local_size", type=int, choices=[1, 2], default=2, help="neighbours per axis (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; exit status 2 when the checkpoint cannot be read or is of another network, or OUT cannot be written."""
    args = build_parser().parse_args(argv)
    from realciao.archs.published import from_published
    from realciao.checkpoint import read_state_dict, save_weights
    from realciao.errors import UserError

    if args.output.exists() and not args.overwrite:
        raise UserError(f"{args.output}: is there already; --overwrite replaces it")
    try:
        net = from_published(read_state_dict(args.input), res=not args.no_res, local_size=args.local_size)
    except UserError as error:
        raise error if str(args.input) in str(error) else UserError(f"{args.input}: {error}") from error
    save_weights(net, args.output, converted_from=args.input.name)
    print(f"{args.output}: {sum(p.numel() for p in net.parameters()):,} parameters")
    return 0
