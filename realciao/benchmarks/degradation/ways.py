"""The ways to make training pairs that are compared; a turn of each reads its meter around nothing but its work."""

from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
import torch
from jaxtyping import Float

import degradations
from realciao.benchmarks.degradation import bsrgan
from realciao.benchmarks.instruments.judges import plain
from realciao.benchmarks.instruments.laps import Laps, Meter

SCALE = 4
GT_SIZE = 256
"""What Real-ESRGAN cuts out of its crops after degrading them, and sharpens again."""

Image = Float[np.ndarray, "h w 3"]
Turn = Callable[[], Laps]


def opencv(recipe: str, crops: Sequence[Image], meter: Meter) -> Turn:
    """Plans and pairs, crop by crop."""
    pipeline, draws = degradations.build_pipeline(recipe), count()

    def turn() -> Laps:
        laps = Laps(meter)
        with laps.lap("whole"):
            for crop, draw in zip(crops, draws, strict=False):
                plan = pipeline.sample(np.random.default_rng(draw), crop.shape[:2], SCALE)
                degradations.pair(plan, crop)
        return laps

    return turn


def batched(recipe: str, crops: Sequence[Image], meter: Meter) -> Turn:
    """The same plans for all crops as one batch of tensors."""
    pipeline, draws, batch = degradations.build_pipeline(recipe), count(), _tensor(crops)

    def turn() -> Laps:
        laps = Laps(meter)
        with laps.lap("whole"):
            rngs = [np.random.default_rng(draw) for _, draw in zip(crops, draws, strict=False)]
            plans = [pipeline.sample(rng, crops[0].shape[:2], SCALE) for rng in rngs]
            degradations.apply_batch(plans, batch)
        return laps

    return turn


def real_esrgan(crops: Sequence[Image], meter: Meter) -> Turn:
    """Kernels and the model's own synthesis, as one batch."""
    judge, batch = plain("realesrgan"), _tensor(crops)
    sharpener, gt_size = judge.published_sharpener(), min(GT_SIZE, len(crops[0]))
    judge.seed(0)

    def turn() -> Laps:
        laps = Laps(meter)
        with laps.lap("whole"):
            judge.degrade(batch, sharpener, gt_size)
        return laps

    return turn


def bsrgan_steps(crops: Sequence[Image], meter: Meter) -> Turn:
    """Each of the dominant steps once; laps: kernel, blur, shifted_blur."""
    judge, crop = plain("bsrgan"), crops[0]
    flat = np.full((bsrgan.SHIFTED_KERNEL,) * 2, bsrgan.SHIFTED_KERNEL**-2.0)

    def turn() -> Laps:
        laps = Laps(meter)
        with laps.lap("kernel"):
            kernel = judge.anisotropic_kernel(bsrgan.MEAN_KERNEL, (4.0, 2.0), 0.5)
        with laps.lap("blur"):
            judge.convolve(crop, kernel)
        with laps.lap("shifted_blur"):
            judge.convolve(crop, flat)
        return laps

    return turn


def _tensor(crops: Sequence[Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()
