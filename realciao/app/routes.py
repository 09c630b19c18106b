"""What the page fetches and sends beside its work: itself, photos, parts of them, and results."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from realciao.app.limits import Limits
from realciao.app.photos import clean_name, look_at, take
from realciao.app.sessions import Session, SessionGoneError, Sessions, remove
from realciao.app.views import View, show_part, to_png
from realciao.errors import UserError

PAGE = Path(__file__).parent / "page"
_KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_AT_ONCE = 4
"""Photos that are decoded, or parts that are drawn: each takes memory, and a core."""


class Routes:
    """Handlers over the open pages.

    Args:
        sessions: the open pages.
        limits: for what is sent.
        about: what a new page is told beside its key.
        sample: an image file that is offered to who has none at hand.
    """

    def __init__(self, sessions: Sessions, limits: Limits, about: dict[str, Any], sample: Path) -> None:
        self.sessions = sessions
        self.limits = limits
        self.about = about
        self.heavy = asyncio.Semaphore(_AT_ONCE)
        # read now: no request ever becomes the name of a file
        files = [*sorted(PAGE.iterdir()), sample]
        self.files = {file.name: (file.read_bytes(), _KINDS[file.suffix]) for file in files if file.suffix in _KINDS}
        self.files["sample.png"] = self.files.pop(sample.name)

    def all(self) -> list[Route]:
        """For the server."""
        gets = {
            "/": self.index,
            "/app/{name}": self.file,
            "/session/{key}/part": self.part,
            "/session/{key}/picture/{picture}": self.picture,
            "/session/{key}/result": self.result,
        }
        posts = {
            "/session": self.begin,
            "/session/{key}/photo": self.photo,
            "/session/{key}/alive": self.alive,
            "/session/{key}/end": self.end,
        }
        routes = [Route(path, _in_words(handler), methods=["GET"]) for path, handler in gets.items()]
        return routes + [Route(path, _in_words(handler), methods=["POST"]) for path, handler in posts.items()]

    async def index(self, _: Request) -> Response:
        data, kind = self.files["index.html"]
        return Response(data, media_type=kind, headers={"Cache-Control": "no-cache"})

    async def file(self, request: Request) -> Response:
        if request.path_params["name"] not in self.files:
            return JSONResponse({"error": "there is no such page"}, 404)
        data, kind = self.files[request.path_params["name"]]
        return Response(data, media_type=kind, headers={"Cache-Control": "no-cache"})

    async def begin(self, _: Request) -> Response:
        session = await run_in_threadpool(self.sessions.begin)
        return JSONResponse({**self.about, "session": session.key})

    async def alive(self, request: Request) -> Response:
        self._session(request)
        return JSONResponse({})

    async def end(self, request: Request) -> Response:
        await run_in_threadpool(self.sessions.end, request.path_params["key"])
        return JSONResponse({})

    async def photo(self, request: Request) -> Response:
        """The body is the file as it is; `?name=` its name."""
        session = self._session(request)
        name = clean_name(request.query_params.get("name", ""))
        path = session.folder / f"photo-{secrets.token_hex(4)}"
        try:
            await self._receive(request, path, name)
            async with self.heavy:
                given = await run_in_threadpool(take, session, path, name, self.limits)
        except BaseException as error:
            remove(path)
            if session.ended.is_set() and isinstance(error, Exception):  # and the folder with it
                raise SessionGoneError from error
            raise
        if session.ended.is_set():  # what came meanwhile must not outlive its owner
            session.clear()
            raise SessionGoneError
        async with self.heavy:
            look = await run_in_threadpool(look_at, given.image)
        size = list(given.image.shape[:2])
        return JSONResponse({"name": name, "size": size, "look": look, "warnings": given.warnings})

    async def part(self, request: Request) -> Response:
        """Of the photo, enlarged (`of=photo`), or of its result (`of=result`): see `View`."""
        session = self._session(request)
        ask = request.query_params
        try:
            plane, box, shape = ([int(n) for n in ask[key].split(",")] for key in ("plane", "box", "shape"))
            view = View((plane[0], plane[1]), (box[0], box[1], box[2], box[3]), (shape[0], shape[1])).check()
        except (KeyError, ValueError, IndexError):
            raise UserError("there is nothing to see there") from None
        given = session.photo()
        image = session.result().image if ask.get("of") == "result" else given.image
        async with self.heavy:
            data = await run_in_threadpool(lambda: to_png(show_part(image, view), given.metadata.icc))
        return Response(data, media_type="image/png", headers={"Cache-Control": "no-store"})

    async def picture(self, request: Request) -> Response:
        found = self._session(request).picture(request.path_params["picture"])
        headers = {"Cache-Control": "no-store"}
        if found.name:
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(found.name, safe='')}"
        return Response(found.data, media_type=found.kind, headers=headers)

    async def result(self, request: Request) -> Response:
        made = self._session(request).result()
        return FileResponse(made.path, filename=made.name, headers={"Cache-Control": "no-store"})

    def _session(self, request: Request) -> Session:
        return self.sessions.get(request.path_params["key"])

    async def _receive(self, request: Request, path: Path, name: str) -> None:
        most, got = int(self.limits.upload_mb * 1e6), 0
        too_large = UserError(f"the file {name} is larger than {self.limits.upload_mb:g} MB, the most on this server")
        if int(request.headers.get("content-length", 0)) > most:
            raise too_large
        try:
            with open(path, "xb") as file:
                async for chunk in request.stream():
                    got += len(chunk)
                    if got > most:
                        raise too_large
                    file.write(chunk)
        except ClientDisconnect:
            raise UserError(f"the file {name} did not arrive whole") from None


def _in_words(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """Errors that are the sender's become JSON, {"error": sentence}, and 404 where the page must begin anew."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except SessionGoneError as error:
            return JSONResponse({"error": str(error)}, 404)
        except UserError as error:
            return JSONResponse({"error": str(error)}, 400)

    return handle
