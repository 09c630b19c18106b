"""Who has the page open, and what they gave: each in a folder of their own, which goes when they go."""

import contextlib
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from realciao.app.limits import Limits
from realciao.app.work import Message, Report, run
from realciao.errors import UserError
from realciao.images.metadata import Metadata
from realciao.images.pixels import AnyImage

MAX_PICTURES = 64
MAX_PICTURE_BYTES = 64_000_000
"""In memory, of one page; the last picture is kept even if it alone is larger."""


class SessionGoneError(UserError):
    """Nobody of that name is here (any more)."""

    def __init__(self) -> None:
        super().__init__("this page was closed, or the server was started anew; load the photo again")


class Given(NamedTuple):
    """A photo as it was sent."""

    name: str
    """As its sender calls it; never part of a path."""
    path: Path
    image: AnyImage
    """Upright, in its own depth; on the disk, mapped into memory."""
    metadata: Metadata
    warnings: tuple[str, ...]


class Made(NamedTuple):
    """A result that is there to be fetched."""

    name: str
    path: Path
    image: AnyImage
    """What the file holds, in 8 bits; on the disk, mapped into memory."""


class Picture(NamedTuple):
    """A file small enough to be kept in memory."""

    name: str
    kind: str
    data: bytes


class Session:
    """One open page."""

    def __init__(self, key: str, folder: Path) -> None:
        self.key = key
        self.folder = folder
        self.seen = time.monotonic()
        self.ended = threading.Event()
        self.given: Given | None = None
        self.made: Made | None = None
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def photo(self) -> Given:
        """What was given last. Raises UserError before anything was."""
        given = self.given
        if given is None:
            raise UserError("there is no photo yet")
        return given

    def result(self) -> Made:
        """What was made of it last. Raises UserError before anything was."""
        made = self.made
        if made is None:
            raise UserError("there is no result yet")
        return made

    def take_photo(self, given: Given) -> None:
        """In place of the one before, whose files go, and those of its result."""
        with self._lock:
            before = [self.given, self.made]
            self.given, self.made = given, None
        remove(*(old.path for old in before if old is not None))

    def take_result(self, made: Made) -> None:
        """In place of the one before, whose files go."""
        with self._lock:
            before, self.made = self.made, made
        if before is not None:
            remove(before.path)

    def keep(self, data: bytes, kind: str, name: str = "") -> str:
        """Keeps a picture among the last ones; returns the key to fetch it by."""
        key = secrets.token_hex(8)
        with self._lock:
            self._pictures[key] = Picture(name, kind, data)
            while len(self._pictures) > MAX_PICTURES or (len(self._pictures) > 1 and self._held() > MAX_PICTURE_BYTES):
                self._pictures.popitem(last=False)
        return key

    def picture(self, key: str) -> Picture:
        """What was kept under a key. Raises SessionGoneError where nothing is."""
        with self._lock:
            if key not in self._pictures:
                raise SessionGoneError
            return self._pictures[key]

    def _held(self) -> int:
        return sum(len(picture.data) for picture in self._pictures.values())

    def clear(self) -> None:
        """Removes everything that was given or made."""
        with self._lock:
            self.given = self.made = None
            self._pictures.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def remove(*paths: Path) -> None:
    """Photos or results, and what of them is mapped into memory, where it is there."""
    for path in paths:
        for file in (path, mapped_beside(path)):
            with contextlib.suppress(OSError):
                file.unlink()


def mapped_beside(path: Path) -> Path:
    """Where the pixels of a photo or result lie, to be mapped into memory.

    Never the place of others before: a mapped file that becomes shorter ends the process of who reads it.
    """
    return path.with_suffix(".npy")


class Sessions:
    """All open pages.

    Args:
        folder: of the app; each page gets one below it.
        limits: how many at once, and how long they may be silent.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self.limits = limits
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def begin(self) -> Session:
        """A new one, by a key that cannot be guessed. Raises UserError where there are too many."""
        self.expire()
        with self._lock:
            if len(self._open) >= self.limits.guests:
                raise UserError(
                    f"{self.limits.guests} pages are open, which is as many as this server takes; try again in a while"
                )
            key = secrets.token_urlsafe(24)
            folder = self.folder / secrets.token_hex(8)  # not the key: paths may end up in messages
            folder.mkdir(mode=0o700)
            self._open[key] = Session(key, folder)
            return self._open[key]

    def get(self, key: str) -> Session:
        """The one of a key. Raises SessionGoneError."""
        with self._lock:
            session = self._open.get(key) if isinstance(key, str) else None
        if session is None:
            raise SessionGoneError
        session.seen = time.monotonic()
        return session

    def work(self, key: str, do: Callable[[Session, Report], Message]) -> Iterator[Message]:
        """Does something for an open page; yields messages, see `work.run`; none of them names a path of this machine."""
        try:
            session = self.get(key)
        except SessionGoneError as error:
            yield {"error": str(error), "gone": True}
            return
        for message in run(lambda report: do(session, report), self.limits.minutes, session.ended):
            yield _without_paths(message, session)

    def end(self, key: str) -> None:
        """Removes one and all it holds; work of its that is going on stops at its next step."""
        with self._lock:
            session = self._open.pop(key, None)
        if session is not None:
            session.ended.set()
            session.clear()

    def expire(self) -> None:
        """Ends those that have been silent for too long."""
        oldest = time.monotonic() - 60 * self.limits.idle_minutes
        with self._lock:
            silent = [key for key, session in self._open.items() if session.seen < oldest]
        for key in silent:
            self.end(key)


def _without_paths(message: Message, session: Session) -> Message:
    """A path of this machine means nothing to who reads this, and is none of their business."""
    text = message.get("error")
    if text and session.given is not None:
        text = text.replace(str(session.given.path), "the photo")
    if text:
        text = text.replace(f"{session.folder}{Path('/')}", "").replace(str(session.folder), "the server's folder")
        return {**message, "error": text}
    return message
