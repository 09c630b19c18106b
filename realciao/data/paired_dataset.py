"""Training pairs from real LQ and GT images, such as RealSR's and DRealSR's."""

from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from realciao.batch import TrainBatch
from realciao.coords import scaled_size
from realciao.data.datasets import Count, Positive, SampleIndex, TrainSet
from realciao.data.image_store import ImageStore
from realciao.data.pair_files import check_ratio, match_pairs
from realciao.data.queries import make_queries
from realciao.data.reduction import PatchAxis, reduce_patch
from realciao.data.train_item import orientation, oriented, place_item, random_corner, train_item
from realciao.images.reading import to_rgb
from realciao.randomness import Stream, stream
from realciao.registry import DATASET_REGISTRY


@DATASET_REGISTRY.register()
class PairedDataset(TrainSet):
    """LQ images in, patches of them out with HR pixels of their GT; the scale of a pair is the ratio of its sizes.

    Windows (`window`, `margin`) take LQ patches of one size, that which the smallest ratio of the set needs, so that
    patches agree in a batch whatever the pairs in it; pairs of a larger ratio get more context.

    Args:
        dataroot_lq: folder of LQ images.
        dataroot_gt: folder of GT images.
        filename_tmpl_lq: stem of an LQ file, `{}` being what a pair shares, e.g. "{}x4".
        filename_tmpl_gt: stem of a GT file.
        lq_size: edge of the LQ patch for random points.
        sample_q: HR pixels queried per sample.
        window: edge of the HR window, a multiple of 8; instead of `lq_size` and `sample_q`.
        margin: LQ pixels of context on each side of a window.
        use_hflip: mirror every other sample, at random.
        use_rot: turn each sample by a random multiple of 90 degrees.
        reduce_gt: train at every scale from the lowest of the run's range to the pair's own ratio, with GT reduced to it by an
            antialiased filter; else at the pair's ratio alone.
        scale_range: what ratios are allowed.
        seed: of every random choice.
        gt_usm: whether items hold a sharpened target; real pairs have none, so it is GT itself.

    Raises:
        OptionError: a wrong key.
        UserError: no pairs, a file without partner, sizes that do not fit, or no pair that is large enough.
    """

    def __init__(
        self,
        dataroot_lq: str,
        dataroot_gt: str,
        filename_tmpl_lq: str = "{}",
        filename_tmpl_gt: str = "{}",
        lq_size: Positive | None = None,
        sample_q: Positive | None = None,
        window: int | None = None,
        margin: Count = 4,
        use_hflip: bool = True,
        use_rot: bool = True,
        reduce_gt: bool = False,
        *,
        scale_range: tuple[float, float],
        seed: int,
        gt_usm: bool,
    ) -> None:
        self.queries = make_queries(lq_size, sample_q, window, margin)
        self.use_hflip = use_hflip
        self.use_rot = use_rot
        self.seed = seed
        self.gt_usm = gt_usm
        self._store = ImageStore(match_pairs(dataroot_lq, dataroot_gt, filename_tmpl_lq, filename_tmpl_gt), seed)
        for pair, sizes in zip(self._store.entries, self._store.sizes, strict=True):
            check_ratio(pair, sizes, scale_range)
        ratios = [n_gt / n_lq for lq, gt in self._store.sizes for n_gt, n_lq in zip(gt, lq, strict=True)]
        self.reduced_to = (scale_range[0], min(ratios)) if reduce_gt else None
        self.n_patch = self.queries.patch_size(scale_range[0] if reduce_gt else min(ratios))
        self._store.require(self.n_patch, self.n_patch, f"{self.queries} needs LQ patches of {self.n_patch} px a side")

    @property
    def skipped(self) -> int:
        return self._store.skipped

    @property
    def targets(self) -> list[Path]:
        return [entry[-1] for entry in self._store.entries]

    def __getitem__(self, index: SampleIndex) -> TrainBatch:
        rng = stream(self.seed, index.draw)
        turn = orientation(rng, self.use_hflip, self.use_rot)
        lq, gt = (oriented(image, *turn) for image in self._store.take(index.draw, self.n_patch))
        if self.reduced_to:
            return self._reduced(rng, index.step, lq, gt)
        corner = random_corner(rng, lq.shape[:2], self.n_patch)
        place = place_item(rng, self.queries, corner, self.n_patch, lq.shape[:2], gt.shape[:2])
        return train_item(place, lq, gt, gt if self.gt_usm else None)

    def _reduced(
        self, rng: np.random.Generator, step: int, lq: Shaped[np.ndarray, "h w *c"], gt: Shaped[np.ndarray, "hh ww *d"]
    ) -> TrainBatch:
        """An item at a scale below the pair's own; windows share the scale in a batch, and stay below every pair's."""
        assert self.reduced_to
        low, least = self.reduced_to
        shared = self.queries.one_scale_per_batch
        most = least if shared else min(n_gt / n_lq for n_gt, n_lq in zip(gt.shape[:2], lq.shape[:2], strict=True))
        scale = float((stream(self.seed, step, Stream.STEP) if shared else rng).uniform(low, max(low, most)))
        n = self.queries.patch_size(scale)
        top, left = random_corner(rng, lq.shape[:2], n)
        rows, columns = (
            PatchAxis(start, n, n_lr, n_hr)
            for start, n_lr, n_hr in zip((top, left), lq.shape[:2], gt.shape[:2], strict=True)
        )
        part = to_rgb(gt[rows.needed(), columns.needed()])
        rows, columns = (axis._replace(kept=axis.needed().start) for axis in (rows, columns))
        size = scaled_size((n, n), scale)
        small = reduce_patch(part, rows, columns, size)
        place = place_item(rng, self.queries, (0, 0), n, (n, n), size)
        return train_item(place, lq[top : top + n, left : left + n], small, small if self.gt_usm else None)
