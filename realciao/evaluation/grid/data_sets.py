"""Which images a data set holds: found by folder and template, counted, and identified by their bytes."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from realciao.coords import scaled_size
from realciao.errors import UserError
from realciao.evaluation.grid.lr_images import Bicubic, Picture, Recipe, Size
from realciao.evaluation.grid.options import DataSet
from realciao.images.paths import images_by_name
from realciao.images.reading import ImageError, read_rgb, read_size, size_text


@dataclass(frozen=True)
class Item:
    """One image at one scale.

    Attributes:
        data: name of its data set.
        name: path below the folder without extension, and without what the template adds.
        scale: the nominal one.
        gt: file of the ground truth, if there is one.
        lq: file of the LR image; None where it is made of the ground truth by `make_lq`.
        border: pixels left out at each edge by metrics that compare with a ground truth.
    """

    data: str
    name: str
    scale: float
    gt: Path | None
    lq: Path | None
    make_lq: Bicubic | Recipe
    border: int

    @cached_property
    def digest(self) -> str:
        """Of everything that decides what is upscaled and what it is compared with."""
        digest = hashlib.sha256()
        for part in (self.gt, self.lq):
            digest.update(b"none" if part is None else file_digest(part).encode())
        made = "read" if self.lq else self._identity()
        digest.update(f"{self.scale!r} {made}".encode())
        return digest.hexdigest()

    def read(self) -> tuple[Picture, Picture | None]:
        """The LR image and the ground truth, cropped so that it is `scale` times as large.

        Sizes are LIIF's: LR has floor(n / s) pixels, the ground truth loses its last rows and columns to fit round(n_lr * s).

        Raises:
            UserError: a file is broken, or the two do not fit together.
        """
        gt = read_rgb(self.gt) if self.gt else None
        if self.lq:
            lq = read_rgb(self.lq)
        else:
            assert gt is not None
            small, large = self._sizes(gt.shape)
            if min(small) < 1:
                raise UserError(f"it is {size_text(gt.shape)}, too small for x{self.scale:g}")
            gt = gt[: large[0], : large[1]]
            lq = self.make_lq(gt, small, self.name, self.scale)
        if gt is not None:
            size = self.size(lq)
            if any(not 0 <= n_gt - n < math.ceil(self.scale) for n_gt, n in zip(gt.shape, size, strict=False)):
                raise UserError(
                    f"its LR image is {size_text(lq.shape)}, which at x{self.scale:g} is {size_text(size)}, "
                    f"and its ground truth {size_text(gt.shape)}"
                )
            gt = np.ascontiguousarray(gt[: size[0], : size[1]])
        return lq, gt

    def size(self, lq: Picture) -> tuple[int, int]:
        """Height and width of the result."""
        return scaled_size((lq.shape[0], lq.shape[1]), self.scale)

    def _sizes(self, gt_shape: Sequence[int]) -> tuple[Size, Size]:
        """Height and width of the LR image that is made of a ground truth, and of that ground truth once cropped."""
        height, width = (math.floor(n / self.scale + 1e-9) for n in gt_shape[:2])
        return (height, width), (round(height * self.scale), round(width * self.scale))

    def _identity(self) -> str:
        assert self.gt is not None
        try:
            small, large = self._sizes(read_size(self.gt))
        except ImageError:
            return "unreadable"
        return self.make_lq.identity(self.name, self.scale, large) if min(small) > 0 else "too small"


@dataclass
class Source:
    """What was found of a data set at one scale.

    Attributes:
        checksum: of all names and bytes that were read, sixteen digits.
        problem: why there is nothing, if so.
        failures: (image, problem) of images without partner.
    """

    data: DataSet
    scale: float
    items: list[Item] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    problem: str = ""
    missing: bool = False
    """Whether the folder is not there at all."""

    @property
    def checksum(self) -> str:
        digest = hashlib.sha256()
        for item in self.items:
            digest.update(f"{item.name}\0{item.digest}\n".encode())
        return digest.hexdigest()[:16]


def find_items(data: DataSet, scale: float, dataroot: str = ".") -> Source:
    """The images of a data set at a scale; what is missing or lonely is said, not raised."""
    source = Source(data, scale)
    given = (data.dataroot_gt, data.dataroot_lq)
    roots = [Path(dataroot, r.replace("{scale}", f"{scale:g}")).expanduser() if r else None for r in given]
    for root in roots:
        if root and not root.is_dir():
            source.problem, source.missing = f"no data: {root} is no folder", True
            return source
    try:
        gt, lq = (
            images_by_name(root, template.replace("{scale}", f"{scale:g}")) if root else None
            for root, template in zip(roots, (data.filename_tmpl_gt, data.filename_tmpl_lq), strict=True)
        )
    except UserError as error:
        source.problem = f"no data: {error}"
        return source
    if gt is not None and lq is not None:
        for mine, theirs, what in ((gt, lq, "LR image"), (lq, gt, "ground truth")):
            source.failures += [(name, f"has no {what}") for name in mine if name not in theirs]
    names = [name for name in (gt if gt is not None else lq or {}) if lq is None or name in lq]
    border = math.ceil(scale) + 6 * (data.border == "div2k") if isinstance(data.border, str) else data.border
    for name in _chosen(data, names, (lq if lq is not None else gt) or {}):
        item = Item(data.name, name, scale, gt[name] if gt else None, lq[name] if lq else None, data.make_lq, border)
        source.items.append(item)
    return source


def _chosen(data: DataSet, names: list[str], paths: dict[str, Path]) -> list[str]:
    if data.smallest:

        def pixels(name: str) -> float:
            try:
                return math.prod(read_size(paths[name]))
            except ImageError:
                return 0  # a broken one is kept, and reported when it is its turn

        kept = set(sorted(names, key=pixels)[: data.smallest])
        names = [name for name in names if name in kept]
    return names[: data.num_images]


_digests: dict[tuple[str, int, int], str] = {}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes; a file that cannot be read is told by that. Remembered while the file does not change."""
    try:
        status = path.stat()
        key = (str(path), status.st_size, status.st_mtime_ns)
        if key not in _digests:
            with path.open("rb") as file:
                _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return _digests[key]
    except OSError:
        return "unreadable"


def each(sources: list[Source]) -> Iterator[Item]:
    """All items of all sources."""
    for source in sources:
        yield from source.items
