"""Starts the app again and again from a process that has imported everything once: imports take longer than all the rest.

A line on standard input is the arguments, as JSON, of an app to start; its process number is the first line of what is
printed, and what the app prints follows. Any connection that leaves this machine is printed, too.
"""

import json
import os
import sys
import warnings
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not tests/, in which a folder bears the name of a package
warnings.simplefilter("ignore")


def tell(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: who is connected to, or asked for by name."""
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in ("127.0.0.1", "::1"):
        print(f"CONNECTS {arguments[1]}", flush=True)
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "localhost", "::1", None):
        print(f"LOOKS UP {arguments[0]}", flush=True)


sys.addaudithook(tell)
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio  # noqa: E402, F401
import uvicorn  # noqa: E402, F401

import realciao.app.routes  # noqa: E402
import realciao.app.server  # noqa: E402, F401
from realciao.commands.app import main  # noqa: E402

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        main(json.loads(line))
    print(child, flush=True)
