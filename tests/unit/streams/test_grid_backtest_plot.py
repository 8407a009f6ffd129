"""The picture of a backtest: what it must not lose."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from streams.grid.backtest_plot import Columns, draw
from streams.grid.curves import round_values, thinned


def columns(count=3_000, start_ms=0, seed=2):
    rng = np.random.default_rng(seed)
    price = 100 * np.exp(np.cumsum(rng.normal(0, 0.002, count)))
    profit = np.linspace(0, 90, count)
    floating = 8 * (price - 100)
    times = [start_ms + n * 60_000 for n in range(count)]
    return Columns(
        times, price, 1_000 + profit + floating, 10 * price, profit, floating, profit / 3, np.arange(count) // 50 * 1.0
    )


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


def curves(drawn):
    return [
        [tuple(map(float, point.split(","))) for point in curve.get("points").split()]
        for curve in drawn.findall(".//{*}polyline")
    ]


def test_every_curve_is_drawn_within_the_page_and_the_unseen_part_is_marked_and_apart():
    seen, unseen = columns(2_000), columns(1_000, start_ms=2_000 * 60_000, seed=3)
    drawn = ET.fromstring(draw("title & more", ["facts", "more"], [seen, unseen]))
    width, height = int(drawn.get("width")), int(drawn.get("height"))
    found = curves(drawn)
    assert len(found) == 2 * 9  # of each part: price; two equities; three parts of it; two drawdowns; grids
    for curve in found:
        for x, y in curve:
            assert 0 <= x <= width
            assert 0 <= y <= height
    texts = [text.text for text in drawn.findall(".//{*}text")]
    assert texts[:3] == ["title & more", "facts", "more"]
    assert texts.count("not seen by the plan") == 5
    split = next(float(line.get("x1")) for line in drawn.findall(".//{*}line") if line.get("stroke-dasharray"))
    for before, after in zip(found[::2], found[1::2], strict=True):
        assert max(x for x, _ in before) <= split <= min(x for x, _ in after)
    assert "not seen by the plan" not in draw("t", ["f"], [seen])


def test_each_part_is_compared_with_its_own_beginning():
    """The second begins 500 lower than the first ended: its change, and its drawdown, begin at zero all the same."""
    seen, unseen = columns(500), columns(500, start_ms=500 * 60_000)
    drawn = curves(ET.fromstring(draw("t", ["f"], [seen, unseen])))
    for panel in (1, 2, 6, 7):  # equity, hold; their drawdowns
        assert drawn[2 * panel][0][1] == pytest.approx(drawn[2 * panel + 1][0][1])


def test_a_backtest_in_which_nothing_happened_can_be_drawn():
    still = np.zeros(3)
    same = Columns([0, 1, 2], still + 100, still + 1_000, still + 1_000, still, still, still, still + 1)
    assert "nan" not in draw("t", ["f"], [same])
    one = Columns(
        [0], *(column[:1] for column in (still + 100, still + 1_000, still + 1_000, still, still, still, still))
    )
    assert "nan" not in draw("t", ["f"], [one])
