"""A grid on small histories, each fill, fee and equity worked out by hand."""

from decimal import Decimal

import numpy as np
import pytest

from m1cep.errors import GridError
from m1cep.grid.backtest import BacktestOptions, backtest
from m1cep.grid.backtest.curve import drawdowns, max_drawdown
from m1cep.grid.backtest.link import OWNER, Link
from m1cep.grid.backtest.path import Path, path_of
from m1cep.grid.backtest.walk import Walk
from m1cep.grid.machine import GridSpec, Rung
from m1cep.grid.orders import Market, Side
from m1cep.grid.plan import History, PlanOptions
from m1cep.grid.plan.history import Kind

D = Decimal
MARKET = Market("X-Y", D(1), D(1), maker_fee=D("0.01"), taker_fee=D("0.02"))
SECOND, HOUR = 1_000, 3_600_000
BUY, SELL = Side.BUY, Side.SELL


def spec(**changes):
    """Around 100: a buy at 90, a sell at 110, of one lot each; 1000 in cash and 5 lots."""
    rung = Rung(lots=1, ticks=10)
    return GridSpec(
        **{
            "market": MARKET,
            "centre_ticks": 100,
            "up": (rung,),
            "down": (rung,),
            "cash": D(1000),
            "lots": 5,
            "reconcile_ms": 1 << 50,
            **changes,
        }
    )


def trades(*ticks, lots=None, apart_ms=10 * SECOND):
    """One trade every ten seconds."""
    return Path(
        Kind.TRADES, 1, [n * apart_ms for n in range(1, len(ticks) + 1)], [*ticks], [*ticks], [*ticks], lots and [*lots]
    )


def candles(*rows):
    """(open, high, low, close), an hour each."""
    history = [(n * HOUR, *row) for n, row in enumerate(rows, 1)]
    return path_of(History.of_candles(history + filler(len(rows), rows[-1][3])), MARKET)


def filler(count, price):
    """Candles in which nothing happens: a history has 50 rows or more."""
    return [(n * HOUR, price, price, price, price) for n in range(count + 1, 60)]


def walk(path, *, latency_ms=0, beyond=1, **changes):
    """The curve, and every fill as (second, side, ticks, lots)."""
    link = Link(spec(**changes), latency_ms)
    curve = Walk(path, link, beyond).run()
    fills = [(fill.time_ms // SECOND, fill.side, fill.ticks, fill.lots) for fill in link.exchange.fills(OWNER, 0)]
    return curve, fills, link


def test_a_pair_earns_the_step_less_both_fees():
    """100, then 89: bought at 90, and built anew around it; then 101: sold at 100."""
    curve, fills, _ = walk(trades(100, 100, 89, 89, 101))
    assert fills == [(30, BUY, 90, 1), (50, SELL, 100, 1)]
    # 1000 + 5 lots at 100; then 1000 - 90 - 0.90 and 6 at 89; then + 100 - 1.00 and 5 at 101
    assert [curve.equity(n) for n in range(5)] == [1500, 1500, D("1443.1"), D("1443.1"), D("1513.1")]
    assert curve.grid_profit(4) == D("10") - D("1.9")
    assert curve.floating(4) == 5 * (101 - 100)
    assert [curve.at(n).generation for n in range(5)] == [1, 1, 2, 2, 3]
    assert curve.at(4).fees == D("1.9")


def test_a_price_that_only_touches_an_order_fills_it_only_if_that_is_asked_for():
    path = trades(100, 90, 110, 100)
    assert walk(path)[1] == []
    assert walk(path, beyond=0)[1] == [(20, BUY, 90, 1), (30, SELL, 100, 1)]


def test_no_more_is_filled_than_was_traded():
    """An order of 3 lots meets trades of 1, 0 and 5."""
    rung = (Rung(lots=3, ticks=10),)
    _, fills, _ = walk(trades(100, 89, 89, 88, lots=[9, 1, 0, 5]), down=rung)
    assert fills == [(20, BUY, 90, 1), (40, BUY, 90, 2)]


def test_a_gap_fills_everything_between_at_once_each_at_its_own_price():
    rungs = (Rung(lots=1, ticks=10),) * 3
    curve, fills, _ = walk(trades(100, 65, 65), down=rungs)
    assert fills == [(20, BUY, 90, 1), (20, BUY, 80, 1), (20, BUY, 70, 1)]
    assert curve.equity(1) == 1000 - D("242.4") + 8 * 65


def test_the_order_at_the_far_end_of_a_gap_is_only_touched():
    rungs = (Rung(lots=1, ticks=10),) * 3
    path = trades(100, 70, 70)
    assert [ticks for _, _, ticks, _ in walk(path, down=rungs)[1]] == [90, 80]
    assert [ticks for _, _, ticks, _ in walk(path, down=rungs, beyond=0)[1]] == [90, 80, 70]
    path = trades(100, 130, 130)
    assert [ticks for _, _, ticks, _ in walk(path, up=rungs)[1]] == [110, 120]


def test_a_candle_that_rises_is_walked_by_its_low_first():
    """open 100, low 89, high 111, close 105: bought at 90 on the way down; back at 100 sold, and again at 110."""
    curve, fills, _ = walk(candles((100, 111, 89, 105)))
    assert [fill[1:] for fill in fills] == [(BUY, 90, 1), (SELL, 100, 1), (SELL, 110, 1)]
    assert [curve.ticks[n] for n in range(4)] == [100, 89, 111, 105]
    assert [curve.equity(n) for n in range(4)] == [
        1500,
        1000 - D("90.9") + 6 * 89,
        1000 - D("90.9") + 99 + D("108.9") + 4 * 111,
        1000 - D("90.9") + 99 + D("108.9") + 4 * 105,
    ]


def test_a_candle_that_falls_is_walked_by_its_high_first():
    _, fills, _ = walk(candles((100, 111, 89, 95)))
    assert [fill[1:] for fill in fills] == [(SELL, 110, 1), (BUY, 100, 1), (BUY, 90, 1)]


def test_orders_between_the_ends_of_a_candle_trade_when_the_price_comes_by():
    """From 100 down to 80 in twenty minutes: 89 is reached after 11; the close is 80, so that the last legs are flat."""
    _, fills, _ = walk(candles((100, 100, 80, 80)))
    assert fills[0] == (3600 + 20 * 60 + 11 * 60, BUY, 90, 1)


def test_what_happens_within_the_latency_finds_the_old_orders():
    """Bought at 90 after 20 s; the sell at 100 stands 4 latencies later: told, cancelled, told, placed."""
    path = trades(100, 89, 101, 101, 101, apart_ms=SECOND)
    assert walk(path, latency_ms=200)[1] == [(2, BUY, 90, 1), (3, SELL, 100, 1)]
    assert walk(path, latency_ms=300)[1] == [(2, BUY, 90, 1)]


def test_a_post_only_order_that_comes_too_late_is_refused_and_given_again():
    """The price is at 101 when the sell for 100 arrives: refused; a second later it is at 99 and the sell is taken."""
    path = trades(100, 89, 101, 99, 99, 101, apart_ms=SECOND)
    _, fills, link = walk(path, latency_ms=300)
    assert fills == [(2, BUY, 90, 1), (6, SELL, 100, 1)]
    reasons = {order.reason for order in link.grid.state.orders.values()}
    assert "rejected: post_only" in reasons


def test_a_stop_loss_sells_everything_at_the_market_and_ends():
    curve, fills, link = walk(
        trades(100, 75, 75, 300, 50), stop_loss_ticks=80, close_ticks=5, down=(Rung(lots=1, ticks=10),)
    )
    assert fills == [(20, BUY, 90, 1), (20, SELL, 74, 6)]  # one tick below the price: it takes
    assert link.grid.state.mode == "stopped"
    assert curve.equity(4) == 1000 - D("90.9") + 6 * 74 * D("0.98")


def test_a_stop_loss_that_finds_the_price_fallen_further_asks_less():
    """Asked is 74, and the price is there, but not beyond, for ten seconds. At 60 it is cancelled and given for 59."""
    path = trades(100, 75, *[74] * 10, *[60] * 5, apart_ms=SECOND)
    down = (Rung(lots=1, ticks=50),)
    _, fills, link = walk(path, latency_ms=400, up=(), down=down, stop_loss_ticks=80, close_ticks=1)
    assert fills == [(14, SELL, 59, 5)]
    assert link.grid.state.mode == "stopped"


def test_trailing_builds_anew_where_the_price_has_gone():
    _, fills, link = walk(trades(100, 150, 150, 139), up=(), trail_up_ticks=30)
    assert fills == [(40, BUY, 140, 1)]
    assert link.grid.state.generation == 3


def test_the_grid_and_the_venue_come_to_the_same_books():
    curve, _, link = walk(trades(100, 89, 101, 79, 120, 89), latency_ms=70)
    books = link.grid.state.books
    assert link.balance() == (books.lots, books.cash)
    end = len(curve) - 1
    assert curve.grid_profit(end) == books.grid_profit()
    assert curve.floating(end) == books.floating(89)
    assert books.unexplained(89) == 0


# -- the path


def test_times_of_a_candle_end_with_it_even_before_a_gap():
    rows = [(n * HOUR, 100, 100, 100, 100) for n in [*range(30), *range(40, 70)]]
    found = path_of(History.of_candles(rows), MARKET)
    assert list(found.time_ms[:5]) == [0, HOUR // 3, HOUR * 2 // 3, HOUR, HOUR]
    assert found.time_ms[29 * 4 + 3] == 30 * HOUR
    assert found.time_ms[30 * 4] == 40 * HOUR
    assert found.time_ms[-1] == 70 * HOUR


def test_quantities_are_whole_lots_and_a_column_of_zeros_says_nothing():
    fine = Market("X-Y", D("0.01"), D("0.1"))
    rows = [(n, 5.0, volume) for n, volume in enumerate([0.3, 0.39, 0.0, 1e30] + [1.0] * 50)]
    found = path_of(History.of_trades(rows), fine)
    assert list(found.lots[:3]) == [3, 3, 0]
    assert found.lots[3] > 10**17
    assert found.ticks[0] == 500
    assert path_of(History.of_trades([(n, 5.0, 0.0) for n in range(60)]), fine).lots is None


def test_lots_may_be_finer_than_anybody_counts():
    """A level of 10 comes to 10^24 lots, and a row's volume to more than an array holds: all of it is filled."""
    finest = Market("X-Y", D("0.01"), D("1e-25"), maker_fee=D("0.001"))
    walk = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.004, 600)))
    for volume in (0.0, 5.0):
        history = History.of_trades([(n * 60_000, price, volume) for n, price in enumerate(walk)])
        fine = backtest(history, finest, PlanOptions(capital=D(1_000)), BacktestOptions()).parts[1]
        assert fine.fills >= fine.recreations > 5
        assert fine.unexplained == 0


def test_a_tick_that_no_price_fits_is_refused():
    history = History.of_trades([(n, 0.004, 1.0) for n in range(60)])
    with pytest.raises(GridError, match=r"expected prices from 1 to \d+ ticks, got 0.004 to 0.004 with a tick of 1"):
        path_of(history, MARKET)


# -- the whole


def swings(count=400, drift=0.0):
    """Two percent up and down, one a minute."""
    return History.of_trades([(n * 60_000, 100.0 + 2 * (n % 2) + drift * n, 5.0) for n in range(count)])


FINE = Market("X-Y", D("0.01"), D("0.001"), maker_fee=D("0.001"), taker_fee=D("0.002"))


def run(history=None, plan=None, **options):
    return backtest(
        history or swings(), FINE, PlanOptions(capital=D(1_000), **(plan or {})), BacktestOptions(**options)
    )


def test_only_the_first_part_is_planned_on_and_both_begin_with_all_of_the_capital():
    calm_then_wild = [(n * 60_000, 100.0 + (1 if n < 200 else 6) * (n % 2), 5.0) for n in range(400)]
    found = run(History.of_trades(calm_then_wild), touch=True)
    first, second = found.parts
    assert (first.rows, second.rows) == (200, 200)
    assert first.plan.step_up == second.plan.step_up == D("0.01")
    for part in (first, second):
        assert part.curve.equity(0) + part.idle + part.entry_fee == part.capital == 1_000
        assert part.idle >= 0
        assert part.entry_fee == FINE.notional(part.plan.centre_ticks, part.plan.base_lots) * D("0.002")
        assert part.unexplained == 0
        assert part.change == part.grid_profit + part.floating - part.entry_fee
    assert second.fills > 0


def test_the_share_that_the_plan_sees_can_be_chosen():
    found = run(in_sample=D("0.75"))
    assert [part.rows for part in found.parts] == [300, 100]
    found = run(in_sample=D(1))
    assert found.out_of_sample is None
    assert [part.rows for part in found.parts] == [400]


def test_whoever_waits_is_told_how_many_rows_are_done():
    told = []
    walk = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.004, 8_000)))
    history = History.of_trades([(n * 60_000, price, 5.0) for n, price in enumerate(walk)])
    backtest(history, FINE, PlanOptions(capital=D(1_000)), BacktestOptions(), told.append)
    assert told == sorted(told)
    assert told[0] < 4_000 < told[-1] <= 8_000
    assert len(told) >= 4


def test_buy_and_hold_buys_once_with_the_takers_fee_and_keeps_it():
    part = run(swings(drift=0.01)).parts[1]
    first, last = part.curve.ticks[0], part.curve.ticks[-1]
    lots = int(1_000 / (first * 0.00001 * 1.002))
    assert part.hold.lots == lots
    cost = FINE.notional(first, lots)
    assert part.hold.fee == cost * D("0.002")
    assert part.hold.equity == 1_000 - cost * D("1.002") + FINE.notional(last, lots)
    assert part.hold.change > 0


def test_the_drawdown_is_from_the_highest_before_to_the_lowest_after():
    """equity  100 120 90 110 130 104 140
    peak ─┘  └ -25 %  └──┘ -20 %"""
    values = np.array([100.0, 120, 90, 110, 130, 104, 140])
    assert max_drawdown(values) == (1, 2)
    assert drawdowns(values)[:3] == pytest.approx([0, 0, 0.25])
    assert max_drawdown(np.array([1.0, 2, 3])) == (0, 0)
    fall = History.of_trades([(n * 60_000, 100.0 + 2 * (n % 2) - 50 * (n >= 300), 5.0) for n in range(400)])
    part = run(fall).parts[1]
    assert part.hold.drawdown.share == pytest.approx(0.51, abs=0.01)
    assert part.hold.drawdown.amount == FINE.notional(10_200 - 5_000, part.hold.lots)
    hold, grid = part.hold.drawdown, part.drawdown
    assert (hold.peak_ms, hold.trough_ms) == (201 * 60_000, 300 * 60_000)
    assert 0.2 < grid.share < hold.share
    at = {time_ms: part.curve.equity(n) for n, time_ms in enumerate(part.curve.time_ms)}
    assert grid.amount == at[grid.peak_ms] - at[grid.trough_ms]
    assert at[grid.peak_ms] == max(at.values())
    assert at[grid.trough_ms] == min(at.values())


def test_limits_are_shares_of_the_first_price_of_each_part():
    """Down by 5 % from 100 and from 90: both parts stop there, and hold nothing any more."""
    found = run(swings(drift=-0.05), stop_loss=D("0.05"))
    for part, first in zip(found.parts, (10_000, 9_000), strict=True):
        assert part.curve.ticks[0] == first
        limit = int(part.reason.removeprefix("stop_loss:"))
        assert first * 0.93 < limit <= first * 0.95
        assert part.state == "stopped"
        assert part.curve.at(len(part.curve) - 1).lots == 0
        assert part.equity > part.hold.equity
    rises = run(swings(drift=0.05), take_profit=D("0.04")).parts[0]
    assert rises.state == "stopped"
    assert rises.reason.startswith("take_profit:104")
    ramp = History.of_trades([(n * 60_000, 100.0 + (2 * (n % 2) if n < 200 else n / 5 - 40), 5.0) for n in range(400)])
    plain, trailing = run(ramp).parts[1], run(ramp, trail_up=D("0.03")).parts[1]
    assert plain.curve.ticks[-1] == 13_980
    assert plain.generations < trailing.generations <= plain.generations + 15
    fall = History.of_trades([(n * 60_000, 100.0 - (2 * (n % 2) if n < 200 else n / 5 - 40), 5.0) for n in range(400)])
    plain, trailing = run(fall).parts[1], run(fall, trail_down=D("0.03")).parts[1]
    assert plain.generations < trailing.generations <= plain.generations + 15


def test_capital_that_the_plan_does_not_use_lies_idle():
    """Levels of 10 for a capital of 1,000: what the plan's buys and inventory need is at work, no more."""
    for part in run(plan={"per_level": D(10)}).parts:
        plan = part.plan
        inventory = FINE.notional(plan.centre_ticks, plan.base_lots)
        assert part.idle == 1_000 - plan.cash - inventory * D("1.002") > 900
        assert part.curve.at(0).cash == plan.cash


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"in_sample": D(0)}, "expected a share in sample above 0 and up to 1, got 0"),
        ({"in_sample": D(2)}, "expected a share in sample above 0 and up to 1, got 2"),
        ({"in_sample": D("nan")}, "expected a share in sample above 0 and up to 1, got NaN"),
        ({"in_sample": D("0.9")}, "of 400 rows 360 would be seen by the plan and 40 not, .* at least 50"),
        ({"latency_ms": -1}, "expected a latency from 0 to 2000 ms, got -1"),
        ({"latency_ms": 2_001}, "expected a latency from 0 to 2000 ms, got 2001"),
        ({"stop_loss": D(1)}, "expected a stop_loss that is a share of the price, such as 0.1 for 10 %, got 1"),
        ({"trail_up": D("nan")}, "expected a trail_up .* got NaN"),
        ({"take_profit": D(0)}, "expected a take_profit .* got 0"),
        ({"plan": {"centre": D(5)}}, "expected no centre, got 5"),
        ({"plan": {"capital": D("0.01")}}, "the capital of 0.01 is too small for one level on each side"),
    ],
)
def test_what_cannot_be_run_is_refused(options, why):
    plan = options.pop("plan", {})
    with pytest.raises(GridError, match=why):
        backtest(swings(), FINE, PlanOptions(**{"capital": D(1_000), **plan}), BacktestOptions(**options))


def test_a_gap_in_what_the_plan_has_not_seen_is_refused_too():
    late = [(n * 60_000 + (3_600_000 if n > 300 else 0), 100.0 + 2 * (n % 2), 5.0) for n in range(400)]
    with pytest.raises(GridError, match="the history has 1 gap longer than"):
        run(History.of_trades(late))
