"""How an LR image is cut into tiles, and which pixels of the one global output grid each tile makes.

Everything is separable, so it is said for one axis of n LR and n_out output pixels. Output pixel j has its centre at
(j + 1/2) n / n_out LR pixels and belongs to the tile whose interior [begin, end) holds it. Integers throughout: a pixel
on a border has one owner at any ratio of the sizes.

Where tiles only come close to the whole (their halo is shorter than the network's reach), neighbours may overlap in the output
and fade into each other.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Span(NamedTuple):
    """One tile along one axis."""

    begin: int
    """First LR pixel that the tile reads, halo included."""
    end: int
    """One past its last."""
    out_begin: int
    """First output pixel that the tile makes."""
    out_end: int
    """One past its last."""
    fade_in: int = 0
    """So many of its first output pixels it shares with the tile before."""
    fade_out: int = 0
    """So many of its last ones with the tile after."""

    def weights(self) -> Float[np.ndarray, "n_out"]:
        """How much the tile counts at each of its output pixels; with those of its neighbours, 1."""
        weights = np.ones(self.out_end - self.out_begin, np.float32)
        for n, ramp in ((self.fade_in, weights), (self.fade_out, weights[::-1])):
            ramp[:n] = (np.arange(n) + 0.5) / max(n, 1)
        return weights


def owned_outputs(begin: int, end: int, n: int, n_out: int) -> tuple[int, int]:
    """First, and one past the last, of the n_out output pixels whose centres lie in the LR pixels [begin, end) of n."""
    return _outputs_before(begin, n, n_out), _outputs_before(end, n, n_out)


def _outputs_before(edge: int, n: int, n_out: int) -> int:
    # (j + 1/2) n / n_out < edge  <=>  j < (2 edge n_out - n) / 2n: their number is the right side rounded up
    return -((n - 2 * edge * n_out) // (2 * n))


def split_axis(
    n: int,
    n_out: int,
    tile: int,
    halo: int,
    multiple: int = 1,
    keep: tuple[int, int] | None = None,
    fade: int = 0,
) -> list[Span]:
    """The tiles of an axis, in order; together they make each output pixel. Tiles that own none are left out.

    Args:
        n: LR pixels.
        n_out: output pixels.
        tile: LR pixels of a tile's interior, rounded up to `multiple`; 0 for one tile.
        halo: LR pixels read beyond the interior on either side, rounded up to `multiple`, as far as the image goes.
        multiple: tiles begin and end at multiples of it, or where the image ends.
        keep: only the output pixels with their centres in these LR pixels [begin, end) are made; None for all.
        fade: so many LR pixels on either side of a border between tiles are made by both; 0 for each by its owner alone.
    """
    first, last = keep or (0, n)
    first -= first % multiple
    halo = _round_up(halo, multiple)
    count = -(-(last - first) // tile) if tile else 1
    step = _round_up(-(-(last - first) // count), multiple)  # tiles of about the same size
    kept = owned_outputs(*(keep or (0, n)), n, n_out)
    spans: list[Span] = []
    for begin in range(first, last, step):
        end = min(begin + step, n)
        owned = owned_outputs(begin, end, n, n_out)
        out_begin, out_end = max(owned[0], kept[0]), min(owned[1], kept[1])
        if out_begin < out_end:
            spans.append(Span(max(0, begin - halo), min(n, end + halo), out_begin, out_end))
    return _overlap(spans, round(fade * n_out / n)) if fade else spans


def _overlap(spans: list[Span], radius: int) -> list[Span]:
    """With the outputs up to `radius` on either side of each border made by both tiles."""
    for i in range(len(spans) - 1):
        one, other = spans[i], spans[i + 1]
        r = min(radius, (one.out_end - one.out_begin) // 2, (other.out_end - other.out_begin) // 2)
        border = other.out_begin
        spans[i] = one._replace(out_end=border + r, fade_out=2 * r)
        spans[i + 1] = other._replace(out_begin=border - r, fade_in=2 * r)
    return spans


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
