"""Training pairs that a teacher has made beforehand, see `scripts/prepare_data.py teach`."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch
from jaxtyping import Float
from msgspec import Meta

from realciao.batch import EvalItem, TrainBatch
from realciao.coords import scaled_size
from realciao.data.datasets import Count, Needs, Positive, SampleIndex, Scale, TrainSet, ValSet
from realciao.data.queries import make_queries
from realciao.data.reduction import PatchAxis, reduce_patch
from realciao.data.taught_pairs import Corner, TaughtIndex, TaughtPair, list_pairs, read_index, read_pair
from realciao.data.train_item import place_item, random_corner, train_item
from realciao.errors import OptionError, UserError
from realciao.images.reading import ImageError
from realciao.randomness import Stream, candidates, stream
from realciao.registry import DATASET_REGISTRY

logger = logging.getLogger("realciao")


@DATASET_REGISTRY.register()
class TaughtDataset(TrainSet):
    """LR patches out, with what a teacher made of them as the target, at any scale up to the teacher's.

    A patch is used at another scale in every epoch: the teacher's result, stored at its own scale, is reduced to it. Above the
    teacher's scale the target is the original, where it was kept (`teach --gt`) and is large enough. Patches are not turned:
    the teacher's result for a turned patch is not its turned result.

    Args:
        dataroot: a folder that `prepare_data.py teach` made, or a list of folders, of one teacher.
        sample_q: HR pixels queried per sample.
        window: edge of the HR window, a multiple of 8; instead of `sample_q`.
        margin: LR pixels of context on each side of a window.
        scales: the scales to draw from; null for all of the run's range.
        num_pairs: take the first so many of each folder; null takes all.
        scale_range: smallest and largest scale, at least 1.
        seed: of every random choice.
        gt_usm: must be False, as no sharpened target is stored.

    Raises:
        OptionError: a wrong key, or a scale that the pairs cannot serve.
        UserError: no pairs, or those of several teachers.
    """

    def __init__(
        self,
        dataroot: str | list[str],
        sample_q: Positive | None = None,
        window: int | None = None,
        margin: Count = 4,
        scales: Annotated[tuple[Scale, ...], Meta(min_length=1)] | None = None,
        num_pairs: Positive | None = None,
        *,
        scale_range: tuple[float, float],
        seed: int,
        gt_usm: bool,
    ) -> None:
        folders = [Path(root).expanduser() for root in ([dataroot] if isinstance(dataroot, str) else dataroot)]
        self.index, self.paths = open_folders(folders, num_pairs)
        if gt_usm:
            raise OptionError(
                "type", "taught pairs hold no sharpened target; leave out `target: usm`, or use SyntheticDataset"
            )
        lq_size = self.index.lq_size
        self.queries = make_queries(None if window else lq_size, sample_q, window, margin)
        needed = self.queries.patch_size(scale_range[0])
        if needed > lq_size:
            cure = f"the patches have {lq_size}; raise scale_range, or lower window or margin"
            raise OptionError(
                "window", f"{self.queries} needs {needed} px of LR at scale {scale_range[0]:g}, and {cure}"
            )
        if scales and not scale_range[0] <= min(scales) <= max(scales) <= scale_range[1]:
            raise OptionError("scales", f"{list(scales)} go beyond the run's scale_range {list(scale_range)}")
        most = max(self.index.teacher_scale, self.index.scale_range[1] if self.index.gt else 1)
        if scale_range[1] > most:
            more = "" if self.index.gt else ", and they hold no originals (teach --gt)"
            raise OptionError(
                "dataroot", f"pairs for scales up to {most:g}{more}; scale_range goes to {scale_range[1]:g}"
            )
        self.scale_range = scale_range
        self.scales = scales
        self.seed = seed
        self.needs = Needs()
        self._broken = torch.zeros(len(self.paths), dtype=torch.bool).share_memory_()

    @property
    def skipped(self) -> int:
        return int(self._broken.sum())

    @property
    def teaches(self) -> bool:
        return True

    @property
    def kept_of(self) -> str | None:
        return self.index.teacher["sha256"] if self.index.kept else None

    def serve(self, needs: Needs) -> None:
        if "gt" in needs.targets and not self.index.gt:
            raise OptionError(
                "dataroot", "a loss has the target gt, and the pairs hold no originals: make them with --gt"
            )
        if needs.teacher and needs.teacher != self.index.teacher["sha256"]:
            raise OptionError("dataroot", f"the pairs were made by another teacher, {self.index.teacher['name']}")
        self.needs = needs

    def __getitem__(self, index: SampleIndex) -> TrainBatch:
        rng = stream(self.seed, index.draw)
        shared = self._scale(stream(self.seed, index.step, Stream.STEP)) if self.queries.one_scale_per_batch else None
        pair, scale = self._take(index.draw, rng, shared)
        n = self.queries.patch_size(scale)
        corner = random_corner(rng, pair.lq.shape[:2], n)
        size = scaled_size((n, n), scale)
        place = place_item(rng, self.queries, (0, 0), n, (n, n), size)
        teacher, gt = targets(pair, self.index.teacher_scale, corner, n, size)
        rows, columns = (slice(begin, begin + n) for begin in corner)
        item = train_item(place, pair.lq[rows, columns], gt if gt is not None else teacher, None)
        item["teacher"] = torch.from_numpy(teacher[place.ys, place.xs]).permute(2, 0, 1).contiguous()
        if self.needs.resumes:
            assert pair.kept is not None
            item["kept"] = torch.from_numpy(np.ascontiguousarray(pair.kept[:, rows, columns]))
        return item

    def _take(self, draw: int, rng: np.random.Generator, shared: float | None) -> tuple[TaughtPair, float]:
        """The pair of a draw, or the next that can be read and serves the scale; and the scale."""
        for place in candidates(draw, len(self.paths), self.seed):
            if self._broken[place]:
                continue
            try:
                pair = read_pair(self.paths[place])
            except ImageError as error:
                self._broken[place] = True
                logger.warning("skipped a damaged pair: %s", error)
                continue
            most = self._most(pair)
            if shared is not None and shared <= most:
                return pair, shared
            if shared is None and self.scale_range[0] <= most:
                return pair, self._scale(rng, most)
        raise UserError(
            "no taught pair is left that can be read and serves the scale; lower scale_range or make more pairs"
        )

    def _most(self, pair: TaughtPair) -> float:
        """The largest scale that a pair has all targets for."""
        own = min(axis.n_hr / axis.n_lr for axis in (pair.rows, pair.columns)) if pair.gt is not None else 1.0
        return own if "gt" in self.needs.targets else max(own, self.index.teacher_scale)

    def _scale(self, rng: np.random.Generator, most: float = float("inf")) -> float:
        low, high = self.scale_range
        if self.scales:
            served = [scale for scale in self.scales if scale <= most]
            return float(rng.choice(served)) if served else low
        return float(rng.uniform(low, min(high, most)))


@DATASET_REGISTRY.register()
class TaughtValSet(ValSet):
    """Taught pairs as a validation set: each whole patch at every scale, compared with the teacher's result or the original.

    Args:
        dataroot: a folder that `prepare_data.py teach` made, best of photos that training never sees.
        scales: each at least 1, and at most what all pairs have targets for.
        target: `teacher`, or `gt` for the originals.
        num_pairs: take the first so many; null takes all.
        seed: unused, nothing here is random.
    """

    def __init__(
        self,
        dataroot: str,
        scales: Annotated[list[Scale], Meta(min_length=1)],
        target: Literal["teacher", "gt"] = "teacher",
        num_pairs: Positive | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.index, self.paths = open_folders([Path(dataroot).expanduser()], num_pairs)
        if target == "gt" and not self.index.gt:
            raise OptionError("target", "the pairs hold no originals: make them with --gt")
        most = self.index.teacher_scale if target == "teacher" else self.index.scale_range[0]
        if max(scales) > most:
            raise OptionError("scales", f"every pair has its target up to {most:g}, got {max(scales):g}")
        self.scales = scales
        self.target = target

    def __len__(self) -> int:
        return len(self.paths) * len(self.scales)

    def __getitem__(self, index: int) -> EvalItem:
        number, scale_index = divmod(index, len(self.scales))
        path, scale = self.paths[number], self.scales[scale_index]
        pair = read_pair(path)
        n = self.index.lq_size
        size = scaled_size((n, n), scale)
        teacher, gt = targets(pair, self.index.teacher_scale, (0, 0), n, size)
        wanted = teacher if self.target == "teacher" else gt
        assert wanted is not None
        return EvalItem(name=f"{path.stem}_x{scale:g}", lq=pair.lq, size=size, gt=wanted)


def open_folders(folders: list[Path], num_pairs: int | None) -> tuple[TaughtIndex, list[Path]]:
    """The common index of some folders of pairs, and their files. UserError where the folders do not fit together."""
    if not folders:
        raise OptionError("dataroot", "no folder of taught pairs is given: the list is empty")
    indices = [read_index(folder) for folder in folders]
    first = indices[0]
    for folder, index in zip(folders, indices, strict=True):
        for key in ("teacher", "lq_size", "kept", "gt"):
            if getattr(index, key) != getattr(first, key):
                raise UserError(f"{folder}: its {key} differs from that of {folders[0]}; pairs of one run agree in it")
    ranges = [index.scale_range for index in indices]
    reach = (min(low for low, _ in ranges), max(high for _, high in ranges))
    paths = [path for folder in folders for path in list_pairs(folder)[:num_pairs]]
    if not paths:
        raise UserError(f"{folders[0]}: holds no pair yet; run the same `prepare_data.py teach` command again")
    return msgspec.structs.replace(first, scale_range=reach), paths


def targets(
    pair: TaughtPair, teacher_scale: int, corner: tuple[int, int], n: int, size: tuple[int, int]
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w 3"] | None]:
    """The targets of a part of a patch: the teacher's result, and the original where it is kept and large enough.

    Above the teacher's own scale the first is the second.

    Args:
        pair: the patch.
        teacher_scale: what the teacher enlarges by.
        corner: top and left of the part, in LR pixels.
        n: its edge.
        size: height and width of the targets.
    """
    lq_size = pair.lq.shape[0]
    gt = None
    if pair.gt is not None and all(
        wanted * axis.n_lr <= n * axis.n_hr + axis.n_lr
        for wanted, axis in zip(size, (pair.rows, pair.columns), strict=True)
    ):
        axes = (_axis(pair.rows, corner[0], n), _axis(pair.columns, corner[1], n))
        gt = reduce_patch(pair.gt, *axes, size)
    if gt is not None and max(size) > n * teacher_scale:
        return gt, gt
    rows, columns = (PatchAxis(begin, n, lq_size, lq_size * teacher_scale) for begin in corner)
    return reduce_patch(pair.taught, rows, columns, size), gt


def _axis(corner: Corner, begin: int, n: int) -> PatchAxis:
    return PatchAxis(corner.start + begin, n, corner.n_lr, corner.n_hr, corner.gt_start)
