"""The work of the first tab: the part that is looked at, and the whole photo."""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from PIL import Image

from realciao.app.limits import PREVIEW_PIXELS, Limits
from realciao.app.photos import map_to_disk
from realciao.app.sessions import Given, Made, Session, Sessions, mapped_beside, remove
from realciao.app.views import to_bytes, to_png
from realciao.app.work import Message, Report, Stopped
from realciao.errors import UserError
from realciao.images.reading import read_image
from realciao.images.writing import FORMAT_OF
from realciao.upscaling.photo_file import Task, upscale_file
from realciao.upscaling.sizes import Size, SizeRequest
from realciao.upscaling.tiling import owned_outputs
from realciao.upscaling.upscaler import Upscaler

_WRITING = 0.98
"""Share of the progress at which the last rows are computed, and the file is still to be looked at."""


class Upscalers:
    """The network, and with two weights the last one that lay between them.

    Args:
        weights: one name or file, or two, as `Upscaler.from_file` takes them.
        start: where the dial between two stands at first.
        options: further ones of `Upscaler.from_file`.
    """

    def __init__(self, weights: Sequence[str], start: float = 0.0, **options: Any) -> None:
        self.weights = weights
        self.start = start
        self.options = options
        self._last = (start, self._load(start))

    @property
    def has_dial(self) -> bool:
        return len(self.weights) == 2

    @property
    def device(self) -> str:
        return str(self._last[1].device)

    def get(self, denoise: float) -> Upscaler:
        """The one at this mark of the dial, 0 to 1; without a dial, the one there is."""
        if self.has_dial and denoise != self._last[0]:
            self._last = (denoise, self._load(denoise))
        return self._last[1]

    def _load(self, denoise: float) -> Upscaler:
        weights = self.weights if len(self.weights) > 1 else self.weights[0]
        return Upscaler.from_file(weights, denoise=denoise if self.has_dial else None, **self.options)


class Upscaling:
    """What the page may ask of the network; each method yields messages, see `Sessions.work`.

    Its `wish` is {"scale": s} or {"size": [height, width]}, with "denoise" (0 to 1), "ext" ("auto", "png", ...) and "quality".
    """

    def __init__(self, sessions: Sessions, upscalers: Upscalers, limits: Limits) -> None:
        self.sessions = sessions
        self.upscalers = upscalers
        self.limits = limits

    def preview(self, key: str, wish: dict, box: list) -> Iterator[dict]:
        """Only what becomes of the pixels of the photo under `box`, (y0, x0, y1, x1) of the result."""

        def work(session: Session, report: Report) -> Message:
            given = session.photo()
            size = self._size(wish, given)
            if not isinstance(box, list) or len(box) != 4:
                raise UserError("there is nothing to see there")
            rows, columns = (_cover(box[i], box[i + 2], given.image.shape[i], size[i]) for i in (0, 1))
            top, bottom = owned_outputs(rows[0], rows[1], given.image.shape[0], size[0])
            left, right = owned_outputs(columns[0], columns[1], given.image.shape[1], size[1])
            if not 0 < (bottom - top) * (right - left) <= PREVIEW_PIXELS:
                raise UserError("there is nothing to preview, or too much of it; zoom in or out")
            began = time.monotonic()
            part = self.upscalers.get(self._denoise(wish)).upscale(
                given.image,
                size=size,
                roi=(rows[0], columns[0], rows[1], columns[1]),
                progress=lambda done, wanted: report(done / wanted),
            )
            seconds = time.monotonic() - began
            picture = to_png(Image.fromarray(to_bytes(part)), given.metadata.icc)
            return {
                "picture": session.keep(picture, "image/png"),
                "box": [top, left, bottom, right],
                "seconds": seconds,
            }

        yield from self.sessions.work(key, work)

    def upscale(self, key: str, wish: dict) -> Iterator[dict]:
        """The whole, into the file that is then to be fetched."""

        def work(session: Session, report: Report) -> Message:
            given = session.photo()
            size = self._size(wish, given)
            name = _result_name(given, size, wish)
            target = session.folder / f"result-{secrets.token_hex(4)}{PurePath(name).suffix}"
            task = Task(SizeRequest(size=size), quality=_quality(wish))
            began = time.monotonic()
            try:
                done = upscale_file(
                    self.upscalers.get(self._denoise(wish)),
                    given.path,
                    target,
                    task,
                    lambda done, wanted: report(_WRITING * done / wanted),
                )
                seen = map_to_disk(to_bytes(read_image(target)), mapped_beside(target))
                if session.ended.is_set():
                    raise Stopped
            except BaseException:
                remove(target)
                if session.ended.is_set():  # what was being written must not outlive its owner
                    session.clear()
                raise
            size_bytes = target.stat().st_size
            session.take_result(Made(name, target, seen))
            return {
                "name": name,
                "size": list(done.output_size),
                "bytes": size_bytes,
                "seconds": time.monotonic() - began,
                "warnings": list(done.warnings),
            }

        yield from self.sessions.work(key, work)

    def _denoise(self, wish: Mapping[str, Any]) -> float:
        denoise = wish.get("denoise", self.upscalers.start)
        if not isinstance(denoise, int | float) or not 0 <= denoise <= 1:
            raise UserError("the denoise dial goes from 0 to 1")
        return float(denoise)

    def _size(self, wish: Mapping[str, Any], given: Given) -> Size:
        try:
            if wish.get("size"):
                height, width = wish["size"]
                request = SizeRequest(size=(int(height), int(width)))
            else:
                request = SizeRequest(scale=float(wish["scale"]))
        except (AttributeError, TypeError, ValueError, KeyError, OverflowError):
            raise UserError("that is neither a scale nor a size") from None
        size = request.resolve((given.image.shape[0], given.image.shape[1]))
        self.limits.check_result(size)
        return size


def _cover(begin: Any, end: Any, n: int, n_out: int) -> tuple[int, int]:
    """The input pixels, first and end, under those of the result."""
    if not isinstance(begin, int) or not isinstance(end, int):
        raise UserError("there is nothing to see there")
    first, last = sorted(min(max(edge, 0), n_out) for edge in (begin, end))
    return min(n - 1, first * n // n_out), min(n, max(-(-last * n // n_out), first * n // n_out + 1))


def _quality(wish: Mapping[str, Any]) -> int:
    quality = wish.get("quality", 95)
    if not isinstance(quality, int) or not 1 <= quality <= 100:
        raise UserError("the quality goes from 1 to 100")
    return quality


def _result_name(given: Given, size: Size, wish: Mapping[str, Any]) -> str:
    """STEM_WIDTHxHEIGHT.EXT; the photo's own format where none is asked for, and PNG where it has none to go by."""
    name, ext = PurePath(given.name), str(wish.get("ext", "auto"))
    ending = name.suffix.lower() if ext == "auto" else f".{ext}"
    if ending not in FORMAT_OF:
        if ext != "auto":
            raise UserError(f"no photo is written as '{ext}'")
        ending = ".png"
    return f"{name.stem}_{size[1]}x{size[0]}{ending}"
