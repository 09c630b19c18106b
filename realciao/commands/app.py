"""Opens a page, in a browser, on which photos are upscaled and degraded."""

import argparse
import contextlib
import importlib.util
import socket
from collections.abc import Sequence

from realciao.cli import Parser, command, natural
from realciao.errors import UserError

DEFAULT_PORT = 7860


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="app.py", description=__doc__)
    names = (
        "a name that infer.py --list_models lists, or a weights file; two for a denoise dial (default: real, which the "
    )
    names += "dial makes classical)"
    parser.add_argument("-m", "--model_path", nargs="+", metavar="WEIGHTS", help=names)

    server = parser.add_argument_group("server")
    add = server.add_argument
    reach = "address to listen at; any other than the default lets others in, without a password (default: %(default)s)"
    add("--host", default="127.0.0.1", help=reach)
    add("--port", type=int, default=DEFAULT_PORT, help="0 for any that is free (default: %(default)s)")

    machine = parser.add_argument_group("machine")
    add = machine.add_argument
    add("-t", "--tile", type=int, help="edge of a tile in input pixels, 0 for none (default: by the memory there is)")
    add("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    types = ["auto", "float32", "bfloat16", "float16"]
    add("--dtype", choices=types, default="auto", help="default: bfloat16 where CUDA has it, else float32")

    limits = parser.add_argument_group("what one guest may ask for")
    add = limits.add_argument
    add("--max_upload_mb", type=_above_0, default=100, help="megabytes of a photo's file (default: %(default)s)")
    add("--max_input_mp", type=_above_0, default=50, help="megapixels of a photo (default: %(default)s)")
    add("--max_output_mp", type=_above_0, default=100, help="megapixels of a result (default: %(default)s)")
    add("--max_minutes", type=_above_0, default=30, help="that one result may take (default: %(default)s)")
    add("--max_queue", type=natural, default=8, help="results that wait for their turn (default: %(default)s)")
    add("--max_guests", type=natural, default=16, help="pages that are open at once (default: %(default)s)")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if importlib.util.find_spec("gradio") is None:
        raise UserError('the app needs Gradio: python -m pip install -c constraints.txt -e ".[app]"')
    if not 0 <= args.port < 65536:
        raise UserError(f"--port {args.port} is not from 0 to 65535")
    if args.model_path and len(args.model_path) > 2:
        raise UserError("-m takes one weights file, or two for a denoise dial")
    with _listen(args.host, args.port) as listening:
        from realciao.app.limits import Limits
        from realciao.app.server import serve
        from realciao.app.upscaling import Upscalers
        from realciao.weights.shipped import SHIPPED_WEIGHTS

        limits = Limits(
            args.max_upload_mb, args.max_input_mp, args.max_output_mp, args.max_minutes, args.max_queue, args.max_guests
        )
        weights, start = (args.model_path, 0.0) if args.model_path else (SHIPPED_WEIGHTS, 1.0)
        upscalers = Upscalers(weights, start, device=args.device, tile_px=args.tile, dtype=args.dtype)
        serve(upscalers, limits, listening, args.host)
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """Bound now, so that a port that is taken is said before the network is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UserError(f"--host {host} --port {port}: cannot be used ({error.strerror or error})") from error
    return listening


def _above_0(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < 1e9:
            return value
    raise argparse.ArgumentTypeError(f"must be a number above 0, got {text}")
