"""What is told of the time that an image takes: seconds, ratios, and how well an extrapolation did."""

import statistics
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from realciao.benchmarks.decoder import gemm
from realciao.benchmarks.decoder.counting import Macs
from realciao.benchmarks.decoder.extrapolation import extrapolate
from realciao.benchmarks.decoder.ways import CHUNK, Case
from realciao.benchmarks.instruments.laps import Laps
from realciao.benchmarks.instruments.report import Figure
from realciao.benchmarks.instruments.rounds import median_ratio

CLOCKS = {"wall": 0, "cpu": 1}
"""Where a clock's seconds are in a reading."""


class Measured(NamedTuple):
    """One case, round by round."""

    case: Case
    chunks: dict[str, int]
    """That each of the plain ways did."""
    laps: dict[str, list[Laps]]
    macs: Macs
    shapes: Counter[gemm.Shape]
    error: float
    """Of ours, against as much as plain did."""


def _spent(measured: Measured, way: str, index: int) -> list[float]:
    """Seconds of a way in each round, extrapolated where it did not do all."""
    case, timed = measured.case, measured.chunks.get(way, measured.case.chunks)
    laps = measured.laps[way]
    if timed == case.chunks:
        return [float(lap.spent["whole"][index]) for lap in laps]
    of_all = partial(extrapolate, timed=timed, queries=case.queries, chunk=CHUNK, hoisted=way == "plain")
    parts = [(lap.spent["encoder"], lap.spent["non_local"], lap.rest("whole")) for lap in laps]
    return [of_all(*(float(part[index]) for part in lap)) for lap in parts]


def seconds_rows(measured: Measured) -> Iterator[dict[str, Figure]]:
    """The medians, by either clock."""
    case = measured.case
    for name, index in CLOCKS.items():
        seconds = {
            f"{way} s": statistics.median(_spent(measured, way, index))
            for way in measured.laps
            if way not in ("rule", "GEMM")
        }
        parts = {way: done for way, done in measured.chunks.items() if way != "rule" and done < case.chunks}
        extrapolated = ", ".join(f"{way} from {done} of {case.chunks} chunks" for way, done in parts.items())
        yield {
            "LR": case.side,
            "scale": case.scale,
            "clock": name,
            **seconds,
            "extrapolated": extrapolated or "nothing",
        }


def ratio_row(measured: Measured, index: int) -> dict[str, Figure]:
    """Ratios by one clock, and what share of the rate of matrix products the decoder reaches."""
    spent = {way: _spent(measured, way, index) for way in measured.laps if way != "GEMM"}

    def ratio(above: str, below: str) -> float:
        return median_ratio(spent[above], spent[below])

    decoder = [float(laps.rest("whole")[index]) for laps in measured.laps["ours"]]
    reference = [float(laps.spent["reference"][index]) for laps in measured.laps["GEMM"]]
    own = [float(laps.spent["shapes"][index]) for laps in measured.laps["GEMM"]]
    rates = [gemm.macs(gemm.REFERENCE) / seconds for seconds in reference]
    # the products of one band, for those of all
    own_macs = sum(gemm.macs(shape) * count for shape, count in measured.shapes.items())
    whole = measured.macs.queries / own_macs
    return {
        "LR": measured.case.side,
        "scale": measured.case.scale,
        "ours x published": ratio("published", "ours"),
        "ours x plain": ratio("plain", "ours"),
        "ours / LTE": ratio("ours", "LTE"),
        "ours / LIIF": ratio("ours", "LIIF"),
        "our LTE / LTE": ratio("our LTE", "LTE"),
        "our LIIF / LIIF": ratio("our LIIF", "LIIF"),
        "decoder us/px": 1e6 * statistics.median(decoder) / measured.case.queries,
        "decoder kMAC/px": measured.macs.decoder / measured.case.queries / 1e3,
        "GEMM GMAC/s": statistics.median(rates) / 1e9,
        "share of GEMM": median_ratio([measured.macs.decoder / rate for rate in rates], decoder),
        "share of own shapes": median_ratio([whole * seconds for seconds in own], decoder),
        "max error": measured.error,
    }


def rule_row(measured: Measured, index: int) -> dict[str, Figure]:
    """All chunks of the published way, and what a few of them said about all."""
    full, ruled = (_spent(measured, way, index) for way in ("published", "rule"))
    return {
        "LR": measured.case.side,
        "scale": measured.case.scale,
        "chunks": measured.case.chunks,
        "all of them s": statistics.median(full),
        "by the rule s": statistics.median(ruled),
        "from chunks": measured.chunks["rule"],
        "error": median_ratio(ruled, full) - 1,
    }
