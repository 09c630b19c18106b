"""How sure a mean is, and whether two methods differ: percentile bootstrap over images (Efron 1979), seeded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """The mean of n numbers and its 95 % interval; low and high are the mean itself where n is 1."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Difference:
    """What a second method adds to a first one, image by image; only images that both have a finite score for count.

    Attributes:
        interval: of the mean of (second - first).
        second_better: images on which the second is better.
        ties: images on which both score alike.
        verdict: "second", "first" or "undecided": who is better if the interval leaves zero out.
    """

    interval: Interval
    second_better: int
    ties: int
    verdict: str


def mean_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean of finite numbers, at least one, with its interval; the order of the numbers does not matter."""
    data = np.sort(np.asarray(values, np.float64))
    if not data.size:
        raise ValueError("a mean needs at least one number")
    mean = float(data.mean())
    if data.size == 1:
        return Interval(mean, mean, mean, 1)
    rng = np.random.default_rng(seed)
    # in portions, so that ten thousand images need no more memory than ten
    portion = max(1, 2_000_000 // data.size)
    means = [
        data[rng.integers(data.size, size=(min(portion, RESAMPLES - done), data.size))].mean(axis=1)
        for done in range(0, RESAMPLES, portion)
    ]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Interval(mean, float(low), float(high), int(data.size))


def paired_difference(
    first: Mapping[str, float], second: Mapping[str, float], lower_better: bool, seed: int = 0
) -> Difference | None:
    """Compares the scores of two methods by image; None where they share no image with a finite score of both."""
    shared = [name for name in first if name in second and np.isfinite(first[name]) and np.isfinite(second[name])]
    if not shared:
        return None
    gains = np.array([second[name] - first[name] for name in shared])
    interval = mean_interval(list(gains), seed)
    sign = -1 if lower_better else 1
    low, high = sorted((sign * interval.low, sign * interval.high))
    decided = interval.n > 1  # one image decides nothing
    verdict = "second" if decided and low > 0 else "first" if decided and high < 0 else "undecided"
    return Difference(interval, int((sign * gains > 0).sum()), int((gains == 0).sum()), verdict)
