"""The picture of a backtest: what it must not lose, and the drawdown it shows."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from streams.grid.backtest_plot import Sample, draw, drawdowns, max_drawdown
from streams.grid.curves import round_values, thinned


def samples(count=3_000):
    rng = np.random.default_rng(2)
    price = 100 * np.exp(np.cumsum(rng.normal(0, 0.002, count)))
    profit = np.linspace(0, 90, count)
    floating = 8 * (price - 100)
    return [
        Sample(
            n * 60_000,
            price[n],
            1_000 + profit[n] + floating[n],
            10 * price[n],
            profit[n],
            floating[n],
            profit[n] / 3,
            n // 50,
        )
        for n in range(count)
    ]


def test_the_drawdown_is_from_the_highest_before_to_the_lowest_after():
    """equity  100 120 90 110 130 104 140
    peak ─┘  └ -25 %  └──┘ -20 %"""
    found = max_drawdown([100, 120, 90, 110, 130, 104, 140])
    assert found == (pytest.approx(0.25), 1, 2)
    assert drawdowns([100, 120, 90]) == pytest.approx([0, 0, 0.25])
    assert max_drawdown([1, 2, 3]) == (0, 0, 0)
    assert max_drawdown([]) == (0, 0, 0)


def test_a_curve_is_thinned_to_its_extremes_in_their_order():
    values = [5.0] * 10_000
    values[4_321], values[4_322] = 9.0, 1.0
    found = thinned(range(10_000), values, points=100)
    assert len(found) == 100
    at = [x for x, _ in found]
    assert at == sorted(at)
    assert [point for point in found if point[1] != 5.0] == [(4_321, 9.0), (4_322, 1.0)]
    low, high = [4.0] * 10_000, [6.0] * 10_000
    low[4_321], high[4_322] = 1.0, 9.0
    found = thinned(range(10_000), low, high, points=100)
    assert [point for point in found if point[1] not in {4.0, 6.0}] == [(4_321, 1.0), (4_322, 9.0)]
    assert thinned([1, 2], [3, 4], [5, 8]) == [(1, 4), (2, 6)]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-13.2, 88), (78_278, 78_497), (1e-6, 3e-6), (-0.2, -0.1)])
def test_axes_have_a_few_values_that_read_well(low, high):
    values = round_values(low, high)
    assert 3 <= len(values) <= 9
    assert low <= values[0] < values[-1] <= high
    assert float(f"{values[1] - values[0]:.3e}".partition("e")[0]) in {1, 2, 4, 5, 8}


def test_every_curve_is_drawn_within_the_page_and_the_unseen_part_is_marked():
    given = samples()
    drawn = ET.fromstring(draw("title & more", "facts", given, given[2_000].time_ms))
    width, height = int(drawn.get("width")), int(drawn.get("height"))
    curves = drawn.findall(".//{*}polyline")
    assert len(curves) == 9  # price; two equities; three parts; two drawdowns; grids
    for curve in curves:
        for point in curve.get("points").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height
    texts = [text.text for text in drawn.findall(".//{*}text")]
    assert texts[0] == "title & more"
    assert texts.count("not seen by the plan") == 5
    assert "not seen by the plan" not in draw("t", "f", given)


def test_a_backtest_in_which_nothing_happened_can_be_drawn():
    still = [Sample(n, 100.0, 1_000.0, 1_000.0, 0.0, 0.0, 0.0, 1) for n in range(3)]
    assert "nan" not in draw("t", "f", still)
    assert "nan" not in draw("t", "f", still[:1])
