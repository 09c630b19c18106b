"""The app as a server: own routes, and a queue for what takes long."""

import os
import signal
import socket
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from degradations.pipeline import recipe_names
from realciao.app.degrading import Degrading
from realciao.app.folders import app_folder
from realciao.app.guard import Guard
from realciao.app.limits import Limits
from realciao.app.sessions import Sessions
from realciao.app.upscaling import Upscalers, Upscaling

JANITOR_S = 20
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def serve(upscalers: Upscalers, limits: Limits, listening: socket.socket, host: str) -> None:
    """Serves until SIGINT or SIGTERM; then everything that guests sent is removed.

    Args:
        upscalers: the network.
        limits: of each guest.
        listening: where.
        host: by which name, for the checks of who asks.
    """
    import uvicorn

    for leave in (signal.SIGINT, signal.SIGTERM):
        signal.signal(leave, lambda *_: sys.exit(0))  # raised again by uvicorn once it has closed
    with app_folder() as folder:
        sessions = Sessions(folder, limits)
        app = build(sessions, upscalers, limits, folder, host)
        threading.Thread(target=_expire_forever, args=[sessions], daemon=True).start()
        config = uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=1, server_header=False)
        listening.listen()  # from here on, who asks waits until there is an answer
        where = f"[{host}]" if ":" in host else host
        print(f"RealCiaoSR is on http://{where}:{listening.getsockname()[1]} (Ctrl-C ends it)", flush=True)
        uvicorn.Server(config).run(sockets=[listening])


def build(sessions: Sessions, upscalers: Upscalers, limits: Limits, folder: Path, host: str) -> Any:
    """The ASGI application."""
    # Gradio reads these when it is imported
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "gradio")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from realciao.app.gradio_queue import queued_app
    from realciao.app.routes import Routes

    upscaling, degrading = Upscaling(sessions, upscalers, limits), Degrading(sessions)
    work = [upscaling.preview, upscaling.upscale, degrading.degrade]
    about = {
        "work": {method.__name__: number for number, method in enumerate(work)},
        "limits": limits._asdict(),
        "recipes": recipe_names(),
        "weights": [Path(name).stem for name in upscalers.weights],
        "dial": upscalers.start if upscalers.has_dial else None,
        "device": upscalers.device,
    }
    sample = Path(find_spec("skimage").origin).parent / "data" / "chelsea.png"  # type: ignore[union-attr, arg-type]
    routes = Routes(sessions, limits, about, sample).all()
    app = queued_app(work, limits.queue, routes)
    return Guard(app, _LOOPBACK if host in _LOOPBACK else None)


def _expire_forever(sessions: Sessions) -> None:
    while True:
        time.sleep(JANITOR_S)
        sessions.expire()
