"""The parts of planning a grid, by cases computed by hand and against slow, obvious ways to say the same."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m1cep.grid.orders import Market, Side
from m1cep.grid.plan.excursions import Excursions, choose_horizon, excursions
from m1cep.grid.plan.history import History
from m1cep.grid.plan.levels import (
    Floors,
    Spacing,
    arithmetic,
    fee_floors,
    geometric,
    net_of_fees,
    neutral_ratio,
    step_in_ticks,
)
from m1cep.grid.plan.sizing import Sizer, Sizing
from m1cep.grid.plan.width import (
    PPM,
    Width,
    best_width,
    count_moves,
    fit_power_law,
    flat_range,
    try_widths,
    turning_points,
    usable,
    without_wiggles,
)

D = Decimal
prices = st.lists(st.integers(50, 150).map(float), min_size=2, max_size=60)


def trades(path, step_ms=1_000):
    """One a second, after as many at the first price as a history must have."""
    path = [path[0]] * max(0, 50 - len(path)) + list(path)
    return History.of_trades([(n * step_ms, price, 1.0) for n, price in enumerate(path)])


# -- fees


def test_at_the_fee_floor_a_round_trip_earns_nothing_to_the_last_digit():
    floors = fee_floors(D("0.001"), D("0.001"))
    assert floors == Floors(up=Fraction(2, 999), down=Fraction(2, 1001))
    market = Market("BTC-USD", tick=D("0.5"), lot=D("0.001"), maker_fee=D("0.001"))
    assert 999_000 * (1 + floors.up) == 1_001_000
    assert 1_001_000 * (1 - floors.down) == 999_000
    assert net_of_fees(market, 999_000, 1_001_000) == 0
    assert net_of_fees(market, 999_000, 1_001_001) == Fraction("0.4995")  # one tick of 0.5, less a thousandth


def test_buy_and_sell_fees_count_where_they_are_paid():
    floors = fee_floors(D("0.002"), D("0.001"))
    assert floors == Floors(up=Fraction(3, 999), down=Fraction(3, 1002))


def test_the_margin_multiplies_the_floor_and_rebates_make_none():
    assert fee_floors(D("0.001"), D("0.001")).times(D("1.5")) == Floors(Fraction(3, 999), Fraction(3, 1001))
    assert fee_floors(D("-0.001"), D("-0.001")).times(D("1.5")) == Floors(Fraction(0), Fraction(0))


# -- levels


def test_sells_are_rounded_up_and_buys_down_from_level_to_level():
    assert geometric(Side.SELL, 1000, Fraction(1, 100), 3) == [1010, 1021, 1032]  # 1020.1, 1031.21
    assert geometric(Side.BUY, 1000, Fraction(1, 100), 3) == [990, 980, 970]  # 980.1, 970.2


def test_levels_are_a_tick_apart_at_least_and_end_at_the_lowest_price():
    assert geometric(Side.SELL, 5, Fraction(1, 1000), 3) == [6, 7, 8]
    assert geometric(Side.BUY, 3, Fraction(1, 1000), 9) == [2, 1]


def test_equal_distances_end_where_they_no_longer_pay_the_fees():
    # 10 of 1000 is 1 %, 10 of 1010 is 0.9901 %, 10 of 1020 is 0.9804 %
    assert arithmetic(Side.SELL, 1000, 10, Fraction("0.0098"), 9) == [1010, 1020, 1030]
    assert arithmetic(Side.SELL, 1000, 10, Fraction("0.01"), 9) == [1010]
    assert arithmetic(Side.BUY, 25, 10, Fraction("0.01"), 9) == [15, 5]
    assert step_in_ticks(1000, Fraction("0.0091")) == 10


@given(
    st.integers(2, 10**7),
    st.fractions(Fraction(1, 10**6), Fraction(1, 2)),
    st.sampled_from([Side.BUY, Side.SELL]),
)
def test_no_rounded_step_is_smaller_than_told(centre, ratio, side):
    at = centre
    for level in geometric(side, centre, ratio, 20):
        assert level > 0
        assert abs(level - at) >= at * ratio
        at = level


def test_neutral_quantities_undo_each_other_when_the_price_comes_back():
    # 1.44 = 1.2 * 1.2 up twice is undone by one step down of 1 - 1 / 1.44, so a sell is half a buy
    ratio = neutral_ratio(1_440_000, [1_000_000], [1_728_000], Spacing.GEOMETRIC)
    assert ratio == pytest.approx(0.5)
    assert neutral_ratio(1000, [980], [1010], Spacing.ARITHMETIC) == 0.5


# -- histories


def test_a_candle_goes_against_its_direction_first():
    up, down = (100.0, 103.0, 99.0, 102.0), (102.0, 104.0, 98.0, 99.0)
    history = History.of_candles([(n, *(down if n % 2 else up)) for n in range(50)])
    assert history.path[:8].tolist() == [100, 99, 103, 102, 102, 104, 98, 99]


# -- excursions


def test_excursions_by_hand():
    """seconds   0..48   49    50    51    52
    price      100   100   110    90   100      horizon 2 s"""
    seen = excursions(trades([100] * 50 + [110, 90, 100]), 2_000)
    assert len(seen.up) == 51
    assert seen.up[-3:] == pytest.approx([math.log(1.1), math.log(1.1), 0])  # from seconds 48, 49, 50
    assert seen.down[-3:] == pytest.approx([0, math.log(10 / 9), math.log(11 / 9)])
    assert seen.up[:48].max() == 0


def test_candles_reach_as_far_as_their_high_and_low():
    rows = [(n * 60_000, 100.0, 100.0, 100.0, 100.0) for n in range(60)]
    rows[30] = (30 * 60_000, 100.0, 120.0, 80.0, 100.0)
    seen = excursions(History.of_candles(rows), 60_000)
    assert seen.up[29] == pytest.approx(math.log(1.2))
    assert seen.down[29] == pytest.approx(-math.log(0.8))
    assert seen.up[30] == 0  # its own high lies behind its close


@given(prices, st.lists(st.integers(0, 5), min_size=120, max_size=120), st.integers(1, 30))
def test_excursions_equal_looking_at_every_later_row(path, steps, horizon):
    path = ([path[0]] * 50 + path)[:120]
    times = np.cumsum(steps[: len(path)]).tolist()
    if times[-1] == times[0]:
        return
    seen = excursions(History.of_trades([(t, p, 1) for t, p in zip(times, path, strict=True)]), horizon)
    expected = [
        (
            max(math.log(q / p) for t2, q in zip(times[i:], path[i:], strict=True) if t2 <= t + horizon),
            max(math.log(p / q) for t2, q in zip(times[i:], path[i:], strict=True) if t2 <= t + horizon),
        )
        for i, (t, p) in enumerate(zip(times, path, strict=True))
        if t + horizon <= times[-1]
    ]
    assert seen.up == pytest.approx([up for up, _ in expected])
    assert seen.down == pytest.approx([down for _, down in expected])


def made(up, down, weight=None):
    floats = [np.array(values, dtype=float) for values in (up, down, weight or [1] * len(up))]
    return Excursions(1_000, *floats)


def test_quantiles_count_time_and_not_rows():
    up = [0.01, 0.02, 0.03, 0.04, 0.05]
    assert made(up, up).quantile(80) == (0.04, 0.04)
    # 0.01 stood for 80 of 84 seconds: it is not exceeded for 80 % of the time
    assert made(up, up, [80, 1, 1, 1, 1]).quantile(80) == (0.01, 0.01)


@pytest.mark.parametrize(
    ("up", "down", "rho"), [(0.03, 0.02, 1.5), (0.09, 0.01, 2.0), (0.01, 0.09, 0.5), (0.01, 0, 2.0), (0, 0, 1.0)]
)
def test_asymmetry_is_kept_between_a_half_and_two(up, down, rho):
    assert made([up] * 5, [down] * 5).asymmetry() == pytest.approx(rho)


def test_the_horizon_is_a_day_or_an_eighth_of_a_short_history():
    assert choose_horizon(trades([100, 101], step_ms=86_400_000)) == 86_400_000
    assert choose_horizon(trades([100, 101], step_ms=8_000)) == 49_000
    assert choose_horizon(trades([100, 101]), 12_000) == 12_000


# -- width


def test_moves_by_hand():
    # 1 % steps from 100: up at 101, at 102.01 (one move of two steps); down at 100.9 <= 101; and again at 99.9
    path = np.log([100, 101, 102.1, 101.5, 100.9, 99.9, 100.5])
    assert count_moves(path, math.log(1.01)) == (2, 2)
    assert count_moves(path, math.log(1.03)) == (0, 0)


def test_a_move_of_exactly_one_step_counts_although_logarithms_are_not_exact():
    for price in range(100, 2_000, 37):
        path = np.log([price, price * 1.01] * 50)
        assert count_moves(path, math.log(1.01)) == (50, 49)


def slow_count(path, step):
    """From line to line, one at a time."""
    level = ups = downs = 0
    for value in path:
        place = (value - path[0]) / step
        while place >= level + 1 - 1e-9:
            level, ups = level + 1, ups + 1
        while place <= level - 1 + 1e-9:
            level, downs = level - 1, downs + 1
    return ups, downs


@given(prices, st.floats(0.001, 0.5), st.floats(1, 3))
def test_leaving_out_what_is_too_small_changes_no_count(path, step, wider):
    logs = np.log(path)
    expected = [slow_count(logs, width) for width in (step, step * wider)]
    turns = turning_points(logs)
    kept = without_wiggles(turns, step * (1 - 2e-9))
    assert len(kept) <= len(turns) <= len(path)
    for found in (logs, turns, kept):
        assert [count_moves(found, width) for width in (step, step * wider)] == expected


def test_a_price_that_swings_by_two_percent_is_worth_steps_of_two_percent():
    swings = np.array([100.0, 102.0] * 30)
    widths = try_widths(swings, least_ppm=3_000, cost=0.002)
    best = best_width(usable(widths))
    assert (best.ppm, best.ups, best.downs) == (20_000, 30, 29)
    assert best.gain == pytest.approx((0.02 - 0.002) * 59)


def test_steps_below_the_least_and_beyond_the_range_are_not_tried():
    widths = try_widths(np.array([100.0, 102.0] * 30), least_ppm=3_000, cost=0.002)
    assert widths[0].ppm == 3_000
    assert widths[-1].ppm == 20_000
    assert try_widths(np.array([100.0, 102.0]), least_ppm=20_001, cost=0) == []


def test_steps_that_were_seen_too_rarely_or_never_came_back_are_not_usable():
    assert usable([Width(10, 9, 0, 1), Width(10, 5, 4, 1), Width(10, 20, 0, 1)]) == []
    assert usable([Width(10, 5, 5, 1)]) == [Width(10, 5, 5, 1)]


def test_a_power_law_is_found_and_its_best_step():
    widths = [Width(ppm, 4 * 10**13 // ppm**2, 0, 0.0) for ppm in (1_000, 2_000, 4_000, 5_000, 8_000, 10_000)]
    law = fit_power_law(widths, cost=0.002)
    assert law.b == pytest.approx(2, rel=1e-3)
    assert law.k == pytest.approx(4 * 10**13 / PPM**2, rel=1e-2)
    assert law.best == pytest.approx(0.004, rel=1e-2)  # b c / (b - 1)
    assert fit_power_law(widths[:4], cost=0.002) is None


def test_no_best_step_where_moves_do_not_thin_out():
    widths = [Width(ppm, 10**7 // ppm, 0, 0.0) for ppm in (1_000, 2_000, 4_000, 5_000, 8_000, 10_000)]
    assert fit_power_law(widths, cost=0.002).best is None or fit_power_law(widths, cost=0.002).best > 1


def test_with_a_fixed_capital_a_random_walk_has_no_sharp_best_step():
    # N = 1e8 / ppm^2: (g - c) g N rises with 1 - c / g: 80 % of what 10 % has from about 0.96 % on
    widths = [Width(ppm, 0, 0, (ppm / PPM - 0.002) * 10**8 / ppm**2) for ppm in (3_000, 9_000, 11_000, 20_000, 100_000)]
    assert flat_range(widths, cost=0.002) == (0.011, 0.1)


# -- sizes

MARKET = Market("BTC-USD", D("0.5"), D("0.001"), D(10), D("0.001"), D("0.002"))


def test_equal_quantities_by_hand():
    # centre 100; buys at 99 and 98, sells at 101 and 102, sells half the quantity of buys
    sizer = Sizer(MARKET, 200, [198, 196], [202, 204], ratio=0.5)
    # a lot costs 0.001 * ((99 + 98) * 1.002 + 2 * 0.5 * 100 * 1.002) = 0.297594; 1000 pays for 3360.28 of them
    sizes = sizer.size(Sizing.BASE, D(1000), None)
    assert sizes.buys == (3360, 3360)
    assert sizes.sells == (1680, 1680)
    assert sizes.base_lots == 3360
    assert sizes.needed == Fraction("0.297594") * 3360


def test_equal_money_by_hand():
    sizer = Sizer(MARKET, 200, [198, 196], [202, 204], ratio=0.5)
    sizes = sizer.size(Sizing.QUOTE, D(1000), None)
    # sells' money: 0.5 * 101 / 99 of the buys'; x * (2 * 1.002 + 0.51010101 * (1/101 + 1/102) * 100.2) = 1000
    assert float(sizes.buy_quote) == pytest.approx(1000 / (2.004 + 0.510101010 * (1 / 101 + 1 / 102) * 100.2), rel=1e-8)
    assert sizes.buys == (
        int(sizes.buy_quote / 99 * 1000),
        int(sizes.buy_quote / 98 * 1000),
    )
    assert sizes.sells[0] / sizes.buys[0] == pytest.approx(0.5, rel=1e-3)
    assert Fraction(999) < sizes.needed <= 1000


def test_the_smallest_order_is_asked_of_every_level():
    sizer = Sizer(MARKET, 200, [198], [202], ratio=1.0)
    small = sizer.size(Sizing.BASE, D(1000), D("0.1"))
    assert sizer.problem(small) == "a buy of 0.100 at 99.0 comes to 9.9, the venue takes 10 at least"
    assert (
        sizer.problem(sizer.size(Sizing.BASE, D(1000), D("0.0001")))
        == "a buy at 99.0 comes to less than one lot of 0.001"
    )
    enough = sizer.size(Sizing.BASE, D(1000), D("0.102"))
    assert sizer.problem(enough) == ""
    assert sizer.least_capital() == enough.needed
