"""Where a recipe's results differ from photos, and which ranges would bring them together, in words."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from realciao.recipe_views.match import LABELS, Look

OUTER = (5, 95)
"""Percentiles between which a set of images is said to lie."""
MIN_ALIKE = 12
"""So many results at least are taken to look like the photos: where fewer do, the nearest."""
OWN_WEIGHT = 4.0
"""Of the number that is judged, beside 1 for the others, where the nearest must do."""
AGREE = 0.75
"""The part of either set that lies within the range of the other where they agree; between two equal sets it is 0.9."""
MIN_CHANGE = 0.12
"""Of the width of a range; a smaller change is not worth a word."""
GROWS = ("sigma", "scale", "length", "radius")
"""In the keys of parameters to which noise or blur is in about the same proportion."""


class Verdict(NamedTuple):
    """What was found about one number."""

    photos: list[float]
    made: list[float]
    words: str
    ranges: dict[str, list[float]]
    """suggested, by "Step.key"; empty where nothing is suggested"""


def compare(photos: Sequence[Look], made: Sequence[Look]) -> dict[str, Verdict]:
    """A verdict on every number that some of the photos and some of the results have.

    A range is read from the results that look like the photos in all numbers at once, since noise seems weaker where JPEG
    came after it, and so on: the 5 % to 95 % of what was drawn to make them.
    """
    numbers = {name: known for name in LABELS if (known := _known(photos, name)) and _known(made, name)}
    if not numbers:
        return {}
    away = {name: _distance(name, known, made) for name, known in numbers.items()}
    verdicts = {}
    for name, known in numbers.items():
        weighed = [outside * (OWN_WEIGHT if other == name else 1) for other, outside in away.items()]
        nearest = _nearest(np.sqrt(np.square(weighed).sum(axis=0)))
        verdicts[name] = _judge(
            name, known, made, [look for look, is_near in zip(made, nearest, strict=True) if is_near]
        )
    return verdicts


def _distance(name: str, photos: Sequence[float], made: Sequence[Look]) -> Float[np.ndarray, "n"]:
    """How far each result lies outside of where the photos lie, in spreads of the results; 0 where it has no number."""
    low, high = np.percentile(photos, OUTER)
    values = np.array([getattr(look, name) for look in made])
    outside = np.maximum(np.maximum(low - values, values - high), 0)
    return np.nan_to_num(outside / (np.nanstd(values) or 1.0))


def _nearest(away: Float[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Those that are not away at all, or, where that are too few, the nearest."""
    enough = np.sort(away)[min(MIN_ALIKE, len(away)) - 1]
    return away <= enough


def _known(looks: Sequence[Look], name: str) -> list[float]:
    return [value for look in looks if math.isfinite(value := getattr(look, name))]


def _judge(name: str, photos: list[float], made: Sequence[Look], alike: Sequence[Look]) -> Verdict:
    values = np.array(_known(made, name))
    low, high = np.percentile(photos, OUTER)
    made_low, made_high = np.percentile(values, OUTER)
    share = float(np.mean((values >= low) & (values <= high)))
    less, more = np.mean(np.array(photos) < made_low), np.mean(np.array(photos) > made_high)
    ranges = _ranges_of(name, alike, made) if share < AGREE else {}
    advice = []
    if more > 1 - AGREE:
        ranges |= _stretch(name, ranges, made, high / made_high if made_high > 0 else 1.0)
    for key, found in ranges.items():
        advice.append(f"{key} {_text(found)} instead of {_text(_drawn(name, made)[key])}")
    keys = ", ".join(_drawn(name, made)) or "the steps behind it"
    for part, word, is_weaker in ((less, "less", name != "jpeg_quality"), (more, "more", name == "jpeg_quality")):
        if part > 1 - AGREE:
            remedy = "weaker, or with a `prob`, so that some images go without" if is_weaker else "stronger"
            advice.append(f"{part:.0%} of your photos have {word} than nearly all results: make {keys} {remedy}")
    if share < AGREE and not advice:
        advice.append("no single range accounts for the difference")
    said = (
        f"{LABELS[name]}: your photos {low:.3g} to {high:.3g}, the recipe's {made_low:.3g} to {made_high:.3g}; "
        f"{share:.0%} of its results lie where your photos do."
    )
    words = f"{said} Suggested: {'; '.join(advice)}." if advice else f"{said} They agree."
    return Verdict(photos, values.tolist(), words, ranges)


def _ranges_of(name: str, alike: Sequence[Look], made: Sequence[Look]) -> dict[str, list[float]]:
    """What was drawn for the results that look like the photos, where that is clearly less than for all of them."""
    ranges = {}
    everything, kept = _drawn(name, made), _drawn(name, alike)
    for key, drawn in everything.items():
        if len(kept.get(key, ())) < MIN_ALIKE // 2:
            continue
        width = max(drawn) - min(drawn)
        low, high = np.percentile(kept[key], OUTER)
        low = low if low - min(drawn) > MIN_CHANGE * width else min(drawn)
        high = high if max(drawn) - high > MIN_CHANGE * width else max(drawn)
        if high - low < (1 - MIN_CHANGE) * width:
            ranges[key] = [float(low), float(high)]
    return ranges


def _stretch(name: str, ranges: dict[str, list[float]], made: Sequence[Look], by: float) -> dict[str, list[float]]:
    """Upper ends raised in proportion, where the photos go further than the recipe."""
    if by < 1 + MIN_CHANGE or name not in ("noise_sigma_8bit", "blur_sigma_px"):
        return {}
    stretched = {}
    for key, drawn in _drawn(name, made).items():
        if any(word in key for word in GROWS):
            low = ranges.get(key, [min(drawn)])[0]
            stretched[key] = [float(low), float(max(drawn) * by)]
    return stretched


def _drawn(name: str, looks: Sequence[Look]) -> dict[str, list[float]]:
    drawn: dict[str, list[float]] = {}
    for look in looks:
        for key, values in look.drawn.get(name, {}).items():
            drawn.setdefault(key, []).extend(values)
    return drawn


def _text(values: Sequence[float]) -> str:
    return f"[{min(values):.2g}, {max(values):.2g}]"
