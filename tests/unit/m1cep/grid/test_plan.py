"""Grids from histories: what comes out, what must always hold, and what is refused with which numbers."""

import json
import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from m1cep.errors import GridError
from m1cep.grid.orders import Market
from m1cep.grid.plan import History, PlanOptions, Sizing, Spacing, plan_grid
from m1cep.grid.plan.fitting import share_out
from m1cep.grid.plan.levels import fee_floors, net_of_fees

D = Decimal
MARKET = Market(
    "BTC-USD", tick=D("0.01"), lot=D("0.0001"), min_notional=D(5), maker_fee=D("0.001"), taker_fee=D("0.002")
)
MINUTE = 60_000


def walk(seed=1, rows=3_000, sigma=0.002, drift=0.0, start=100.0, step_ms=MINUTE):
    """Trades of a random walk, one a minute."""
    moves = np.random.default_rng(seed).normal(drift, sigma, rows)
    path = (start * np.exp(np.cumsum(moves))).round(2)
    return History.of_trades([(n * step_ms, float(price), 1.0) for n, price in enumerate(path)])


def candles(path, step_ms=MINUTE):
    return [(n * step_ms, price, price, price, price) for n, price in enumerate(path)]


def plan(history=None, market=MARKET, **options):
    return plan_grid(history or walk(), market, PlanOptions(**{"capital": D(10_000), **options}))


def reason(found, name):
    [one] = [r for r in found.reasons if r.name == name]
    return one


# -- what comes out


def test_swings_of_two_percent_make_steps_of_two_percent_both_ways():
    """price  102 ┐┌┐┌┐
    100 └┘└┘└  every minute: half of the time 2 % above lies ahead, half of the time 2 % below"""
    swings = History.of_trades([(n * MINUTE, 100.0 + 2 * (n % 2), 1.0) for n in range(101)])
    found = plan(swings)
    assert (found.step_up, found.step_down) == (D("0.02"), D("0.02"))
    assert [(level.side.value, level.index, level.ticks) for level in found.levels] == [
        ("buy", 1, 9_800),
        ("sell", 1, 10_200),
    ]
    assert found.centre_ticks == 10_000
    assert found.floor_up == D("0.002002003")  # 0.002 / 0.999, rounded up
    assert found.floor_down == D("0.001998002")


def test_a_market_that_goes_further_up_has_wider_steps_up():
    # of every three minutes, one at 100, one at 103, one at 100.75: far up, less far down
    rises = History.of_candles(
        [
            (n * MINUTE, 100.0, 103.0, 99.0, 100.0) if n % 2 else (n * MINUTE, 100.0, 100.0, 100.0, 100.0)
            for n in range(200)
        ]
    )
    found = plan(rises, horizon_ms=2 * MINUTE)
    ratio = math.log(1.03) / -math.log(0.99)  # 2.94: brought down to 2
    assert ratio > 2
    assert float(found.step_up / found.step_down) == pytest.approx(2, rel=1e-3)
    width = Fraction(found.evidence.chosen_ppm, 10**6)
    assert float(found.step_up) == pytest.approx(float(width) * math.sqrt(2), rel=1e-3)
    assert "2.94 was brought between 0.5 and 2" in reason(found, "asymmetry").how


def test_the_range_is_covered_by_whole_steps():
    found = plan(max_orders=1_000)
    up, down = next((up, down) for share, up, down in found.evidence.quantiles if share == 0.95)
    assert len(found.sells) == math.ceil(up / float(found.step_up))
    assert len(found.buys) == math.ceil(down / float(found.step_down))


def test_the_limit_of_orders_is_kept_and_both_sides_shortened_alike():
    wide, short = plan(max_orders=1_000), plan(max_orders=5)
    assert len(wide.levels) > 5
    assert len(short.levels) == 5
    assert short.levels[0] == next(level for level in short.levels if level.index == 1)
    assert "the limit of 5 orders" in reason(short, "levels_up").how
    assert share_out((30, 10), 20) == (15, 5)
    assert share_out((30, 1), 4) == (3, 1)
    assert share_out((1, 30), 4) == (1, 3)
    assert share_out((2, 1), 4) == (2, 1)


def test_a_small_capital_means_fewer_levels_and_the_plan_says_so():
    market = Market("BTC-USD", D("0.01"), D("0.0001"), D(100), D("0.001"), D("0.002"))
    rich, poor = plan(market=market, max_orders=1_000), plan(market=market, capital=D(500))
    assert 2 <= len(poor.levels) < len(rich.levels)
    assert "the venue takes 100 at least" in reason(poor, "levels_up").how


def test_an_amount_per_level_is_what_each_buy_has():
    by_lots = plan(sizing=Sizing.BASE, per_level=D("1.5"))
    assert {level.lots for level in by_lots.buys} == {15_000}
    by_money = plan(per_level=D(200))
    assert by_money.buy_quote == 200
    assert all(199 < MARKET.notional(level.ticks, level.lots) <= 200 for level in by_money.buys)
    assert len(plan(per_level=D(2_000)).levels) < len(by_money.levels)


def test_an_arithmetic_grid_has_equal_distances():
    found = plan(spacing=Spacing.ARITHMETIC)
    ups = [found.centre_ticks, *(level.ticks for level in found.sells)]
    downs = [found.centre_ticks, *(level.ticks for level in found.buys)]
    assert set(np.diff(ups)) == {found.step_up_ticks}
    assert set(np.diff(downs)) == {-found.step_down_ticks}


def test_rebates_are_no_reason_for_a_loss_and_a_tick_is_the_least_step():
    market = Market("BTC-USD", D("0.25"), D("0.0001"), D(5), D("-0.001"), D("0.002"))
    found = plan(market=market)
    assert found.floor_up < 0
    assert min(found.step_up_ticks, found.step_down_ticks) >= 1
    prices = [level.ticks for level in found.levels]
    assert len(set(prices)) == len(prices)


def test_every_number_of_the_plan_has_a_reason():
    names = [r.name for r in plan().reasons]
    assert len(set(names)) == len(names)
    assert set(names) >= {
        "history", "centre", "horizon", "excursions_80", "asymmetry", "fee_floor", "least_step", "width", "power_law",
        "step_up", "step_down", "range", "levels_up", "levels_down", "sell_to_buy", "per_buy", "per_sell", "inventory", "cash",
    }  # fmt: skip
    assert all(r.value and r.how for r in plan().reasons)


def test_notes_say_what_to_beware_of():
    about = " ".join(plan(walk(rows=400)).notes)
    assert "8.0 horizons only" in about
    assert "expected return of zero before fees" in about
    assert "beyond the levels" in " ".join(plan(walk(drift=0.0005), horizon_ms=60 * MINUTE).notes)
    assert "beyond the levels" not in " ".join(plan(horizon_ms=10 * 60 * MINUTE).notes)
    coarse = Market("BTC-USD", D("0.2"), D(4), D(5), D("0.0001"), D("0.002"))
    about = " ".join(plan(market=coarse, sizing=Sizing.BASE, per_level=D(12), capital=D(10**6)).notes)
    assert "rounding outwards widens steps" in about
    assert "more than the" in about  # 12 of a level, 1 traded a minute


def test_a_note_says_when_the_limit_and_not_the_history_decides():
    free = Market("X-Y", D("0.01"), D("0.0001"))
    assert "the smallest step allowed earned most" in " ".join(plan(market=free).notes)
    assert "the smallest step allowed earned most" not in " ".join(plan().notes)


def test_a_note_says_when_the_count_and_the_power_law_disagree():
    """Swings of 8 %: a step of 8 % earns most; that N(g) falls as g^-1.09 on the way there would make 2.3 % the best."""
    found = plan(History.of_trades([(n * MINUTE, 108.0 - 8 * (n % 2), 9.0) for n in range(700)]))
    assert found.evidence.chosen_ppm == 80_000
    assert found.evidence.law.best == pytest.approx(0.023, abs=0.001)
    assert "width 8.0000% and the fitted one 2.3" in " ".join(found.notes)
    assert "factor of two" not in " ".join(plan().notes)


def test_a_note_says_when_lots_are_too_coarse_for_the_neutral_ratio():
    rises = walk(drift=0.00003)
    fine, coarse = (Market("X-Y", D("0.01"), D(lot), maker_fee=D("0.001")) for lot in ("0.0001", "1"))
    options = {"sizing": Sizing.BASE, "per_level": D(1), "capital": D(10**6)}
    assert "lots are coarse" not in " ".join(plan(rises, fine, **options).notes)
    found = plan(rises, coarse, **options)
    assert abs(1 - float(reason(found, "sell_to_buy").value)) > 0.1, "the case is one: 1 to 1 is not neutral"
    assert "lots are coarse" in " ".join(found.notes)


def test_candles_wider_than_a_step_are_told():
    """A walk as candles of one minute, and the same as candles of one hour, which span some 2 %."""
    minutes = walk(rows=30_000, sigma=0.001)
    prices = minutes.close.reshape(-1, 60)
    hours = History.of_candles([
        (n * 60 * MINUTE, row[0], row.max(), row.min(), row[-1]) for n, row in enumerate(prices)
    ])  # fmt: skip
    assert "take finer candles" not in " ".join(plan(minutes).notes)
    assert "take finer candles" in " ".join(plan(hours).notes)


def test_the_json_document_is_exact():
    found = plan()
    document = json.loads(json.dumps(found.to_dict()))
    assert len(document["levels"]) == len(found.levels)
    prices = [D(level["price"]) for level in document["levels"]]
    assert prices == sorted(prices, reverse=True)
    for level in document["levels"]:
        assert D(level["price"]) * D(level["quantity"]) == D(level["notional"])
        assert D(level["price"]) == level["ticks"] * MARKET.tick
    assert document["sizing"] == "quote"


def test_the_same_history_gives_the_same_plan():
    assert plan(walk(seed=5)) == plan(walk(seed=5))
    assert plan(walk(seed=5)) != plan(walk(seed=6))


# -- what must always hold


@st.composite
def markets(draw):
    fee = draw(st.sampled_from(["0", "0.0001", "0.001", "0.0025", "-0.0002"]))
    return Market(
        "X-Y",
        tick=draw(st.sampled_from([D("0.00001"), D("0.01"), D("0.05"), D("0.3")])),
        lot=draw(st.sampled_from([D("0.00000001"), D("0.001"), D("0.7")])),
        min_notional=draw(st.sampled_from([D(0), D(5), D("12.5")])),
        maker_fee=D(fee),
        taker_fee=D("0.003"),
    )


@st.composite
def options(draw):
    sizing = draw(st.sampled_from(list(Sizing)))
    return PlanOptions(
        capital=draw(st.sampled_from([D(50), D(777), D(10_000), D("123456.78")])),
        sizing=sizing,
        spacing=draw(st.sampled_from(list(Spacing))),
        per_level=draw(st.sampled_from([None, None, D(3)]))
        if sizing is Sizing.BASE
        else draw(st.sampled_from([None, D(30)])),
        fee_margin=draw(st.sampled_from([D(1), D("1.5"), D(3)])),
        max_orders=draw(st.sampled_from([2, 3, 7, 40, 200])),
        horizon_ms=draw(st.sampled_from([None, 10 * MINUTE])),
    )


@given(st.integers(0, 10**6), st.floats(0.0002, 0.01), st.floats(-0.0005, 0.0005), markets(), options())
@settings(deadline=None)
def test_whatever_the_history_a_plan_is_on_the_market_within_the_capital_and_above_the_fees(
    seed, sigma, drift, market, wishes
):
    history = walk(seed, rows=400, sigma=sigma, drift=drift)
    try:
        found = plan_grid(history, market, wishes)
    except GridError as refused:
        event(str(refused).split(":")[0].split(" of ")[0])
        return
    buys, sells = found.buys, found.sells
    assert buys
    assert 2 <= len(found.levels) <= max(2, wishes.max_orders)
    margin = Fraction(wishes.fee_margin)
    floors = fee_floors(market.maker_fee, market.maker_fee)
    for side, sign, floor in ((buys, -1, floors.down), (sells, 1, floors.up)):
        assert [level.index for level in side] == list(range(1, len(side) + 1))
        at = found.centre_ticks
        for level in side:
            assert sign * (level.ticks - at) >= max(1, at * floor * margin)
            assert net_of_fees(market, min(at, level.ticks), max(at, level.ticks)) >= 0
            assert level.lots >= 1
            assert market.notional(level.ticks, level.lots) >= market.min_notional
            at = level.ticks
    fee = 1 + max(market.maker_fee, market.taker_fee)
    needed = sum(market.notional(level.ticks, level.lots) * fee for level in buys)
    assert found.base_lots == sum(level.lots for level in sells)
    needed += market.notional(found.centre_ticks, found.base_lots) * (1 + market.taker_fee)
    assert needed <= wishes.capital
    assert found.cash >= sum(market.notional(level.ticks, level.lots) * fee for level in buys)
    if wishes.sizing is Sizing.BASE:
        assert len({level.lots for level in buys}) == 1
        assert len({level.lots for level in sells}) <= 1
    else:
        for level in buys:
            at, one_lot = market.notional(level.ticks, level.lots), market.notional(level.ticks, 1)
            assert at <= found.buy_quote < at + one_lot


@given(st.integers(0, 10**6), st.floats(-0.0003, 0.0003), st.lists(st.booleans(), min_size=1, max_size=400))
@settings(deadline=None)
def test_the_inventory_depends_on_the_price_alone_and_not_on_the_way(seed, drift, way):
    """Up, down, up: whatever the way, where the price stands says what is held, but for the rounding of lots and ticks."""
    found = plan(walk(seed, rows=400, drift=drift), sizing=Sizing.BASE, capital=D(10**6))
    buy, sell = found.buys[0], found.sells[0]
    up = math.log(sell.ticks / found.centre_ticks)
    down = -math.log(buy.ticks / found.centre_ticks)
    place = held = 0.0
    for rises in way:
        place, held = (place + up, held - sell.lots) if rises else (place - down, held + buy.lots)
    expected = -place * buy.lots / down
    assert abs(held - expected) <= len(way) * 0.51  # half a lot of each sell was rounded


# -- what is refused


def refused(match, **what):
    with pytest.raises(GridError, match=match) as caught:
        plan(**what)
    return str(caught.value)


def test_a_history_that_is_too_short():
    with pytest.raises(GridError, match=r"too short: 49 trades, at least 50"):
        walk(rows=49)
    with pytest.raises(GridError, match=r"too short: 0 candles"):
        History.of_candles([])
    refused(r"too short: 6\.65 h, for a horizon of 2 h at least 8 h", history=walk(rows=400), horizon_ms=7_200_000)
    with pytest.raises(GridError, match="all 50 rows are of one time"):
        History.of_trades([(5, 100.0, 1)] * 50)


def test_a_gap_is_refused_unless_it_is_allowed():
    rows = candles(np.resize([100.0, 103.0], 200))
    holed = History.of_candles(rows[:100] + [(t + 60 * MINUTE, *prices) for t, *prices in rows[100:]])
    told = refused(r"1 gap longer than 5 min \(5 candles\); the longest, 1\.02 h", history=holed)
    assert "from 1970-01-01 01:39:00.000 to 1970-01-01 02:40:00.000" in told
    assert plan(holed, max_gap_ms=62 * MINUTE).levels
    refused("gap longer than 1 h;", history=holed, max_gap_ms=60 * MINUTE)


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_cannot_be(price):
    rows = [(n, 100.0, 1.0) for n in range(60)]
    rows[7] = (7, price, 1.0)
    with pytest.raises(GridError, match=r"row 8 of the history .*expected a price above zero, got"):
        History.of_trades(rows)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((420_000, 100.0, 99.0, 98.0, 98.5), "expected a high the highest of the four, got 99.0"),
        ((420_000, 100.0, 101.0, 99.5, 99.0), "expected a low the lowest of the four, got 99.5"),
        ((360_000, 100.0, 100.0, 100.0, 100.0), "expected a time later than the one before"),
        ((420_000, 100.0, 100.0, 0.0, 100.0), "expected a low above zero, got 0.0"),
    ],
)
def test_a_candle_that_cannot_be(row, why):
    rows = candles([100.0] * 60)
    rows[7] = row
    with pytest.raises(GridError, match="row 8 of the history") as caught:
        History.of_candles(rows)
    assert why in str(caught.value)


def test_trades_that_go_back_in_time_or_have_a_negative_quantity():
    rows = [(n, 100.0, 1.0) for n in range(60)]
    with pytest.raises(GridError, match="row 31 of the history"):
        History.of_trades([*rows[:30], (5, 100.0, 1.0), *rows[30:]])
    with pytest.raises(GridError, match=r"expected a quantity not below zero, got -1.0 \(60 such rows\)"):
        History.of_trades([(n, 100.0, -1.0) for n in range(60)])


def test_a_tick_larger_than_any_step_that_earns():
    market = Market("X-Y", D(5), D("0.001"), maker_fee=D("0.0001"))
    told = refused(
        "the tick 5 is 5.000% of the price 100, larger than any step", history=walk(sigma=0.0005), market=market
    )
    assert "10 moves, there and back, are needed" in told
    refused("the tick 100 is too large for a price of", market=Market("X-Y", D(100), D("0.001")))


def test_fees_that_make_every_grid_lose():
    quiet = walk(sigma=0.0001, rows=400)
    told = refused("fees make every grid lose on this history: 0.1% on each side", history=quiet)
    assert "take all of a step of 0.2002%, with the margin a step has to be 0.3004%" in told
    dear = Market("X-Y", D("0.01"), D("0.001"), maker_fee=D("0.6"))
    refused("fees make every grid lose: with 60% on each side", market=dear)


def test_a_capital_too_small_for_one_level():
    told = refused("the capital of 9 is too small for one level on each side: a buy of", capital=D(9))
    assert "the venue takes 5 at least; at least 1" in told
    least = D(re.search(r"at least ([\d.]+) is needed", told)[1])
    assert plan(capital=least + D("0.5")).levels, "what it says is needed is enough"
    refused("too small for one level .*, or another amount per level than 6000", capital=D(9_000), per_level=D(6_000))
    coarse = Market("X-Y", D("0.01"), D(10), maker_fee=D("0.001"))
    refused("comes to less than one lot of 10; at least", market=coarse, capital=D(500))


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"capital": D(0)}, "expected a capital above 0, got 0"),
        ({"capital": D("NaN")}, "expected a capital above 0, got NaN"),
        ({"per_level": D(-1)}, "expected an amount per level above 0, got -1"),
        ({"fee_margin": D("0.9")}, "expected a fee margin of 1 or more, got 0.9"),
        ({"max_orders": 1}, "expected at least 2 orders, a buy and a sell, got 1"),
        ({"horizon_ms": 0}, "expected a horizon of at least 1 ms, got 0"),
        ({"centre": D(-5)}, "expected a centre above 0, got -5"),
        ({"market": Market("X-Y", D(0), D(1))}, "expected a tick above 0, got 0"),
        ({"market": Market("X-Y", D(1), D(0))}, "expected a lot above 0, got 0"),
        ({"market": Market("X-Y", D(1), D(1), D(-1))}, "expected a minimum notional of 0 or more, got -1"),
        ({"market": Market("X-Y", D(1), D(1), maker_fee=D(2))}, "expected a maker fee between -1 and 1"),
    ],
)
def test_numbers_that_cannot_be(what, why):
    refused(why, **what)
