"""Who gets through to the server: the page's own requests, and nothing else that a framework may answer."""

from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

OPEN = ("/", "/session")
ALLOWED = ("/gradio_api/queue/join", "/gradio_api/queue/data")
"""Of Gradio's routes. Those that read files (`file=`), take uploads or fetch from elsewhere (`proxy=`) stay closed."""
OWN = ("/app/", "/session/")
HEADERS = {
    # nothing is loaded from elsewhere, and no other page may frame this one
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
MAX_JSON_BYTES = 4_000
"""Of a request for work; Gradio reads it whole."""


class Guard:
    """ASGI: answers 403, 404, 411 or 413 itself, or lets a request through and adds HEADERS to what comes back.

    Args:
        app: behind it.
        hosts: names by which the server may be called; others are a stranger's page that points its name here. None for any.
    """

    def __init__(self, app: Callable[..., Any], hosts: frozenset[str] | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        status = self._refusal(scope)

        async def with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                kept = [
                    pair for pair in message.get("headers", []) if pair[0].lower() != b"access-control-allow-origin"
                ]
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*kept, *added]}
            await send(message)

        if status:
            headers = [(b"content-type", b"application/json")]
            await with_headers({"type": "http.response.start", "status": status, "headers": headers})
            await with_headers({"type": "http.response.body", "body": b'{"error": "there is nothing here for you"}'})
            return
        await self.app(scope, receive, with_headers)

    def _refusal(self, scope: dict[str, Any]) -> int | None:
        path, headers = scope["path"], {name.lower(): value for name, value in scope["headers"]}
        host = headers.get(b"host", b"").decode("latin-1")
        if self.hosts is not None and _parts(f"//{host}").hostname not in self.hosts:
            return 403
        if path not in (*OPEN, *ALLOWED) and not path.startswith(OWN):
            return 404
        origin = headers.get(b"origin")
        if scope["method"] != "GET" and origin is not None and _parts(origin.decode("latin-1")).netloc != host:
            return 403
        if path in ALLOWED and scope["method"] != "GET":
            length = headers.get(b"content-length", b"")
            if not length.isdigit():  # in chunks it could be endless
                return 411
            if int(length) > MAX_JSON_BYTES:
                return 413
        return None


def _parts(address: str) -> SplitResult:
    """All of them empty where it is no address."""
    try:
        return urlsplit(address)
    except ValueError:
        return SplitResult("", "", "", "", "")
