"""Tables in Markdown."""

import math

from realciao.figures.markdown import number, table


def test_cells_are_aligned_and_bars_in_them_escaped():
    assert table(["a", "long"], [["x|y", "1"]]).splitlines() == [
        "| a    | long |",
        "| ---- | ---- |",
        "| x\\|y | 1    |",
    ]


def test_what_is_no_number_is_a_dash_and_the_rest_has_four_digits():
    assert [number(value) for value in (None, math.nan, math.inf, 1 / 3)] == ["-", "-", "inf", "0.3333"]
