"""Backtests of random grids on random walks: money adds up at every point, nothing looks ahead or passes over what matters."""

import os
import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from gridworld import random_spec

from m1cep.grid.backtest.link import OWNER, Link
from m1cep.grid.backtest.path import Path
from m1cep.grid.backtest.walk import Walk
from m1cep.grid.machine import Mode
from m1cep.grid.orders import Side
from m1cep.grid.plan.history import Kind

CASES = int(os.environ.get("M1CEP_CASES", "60"))
seeds = pytest.mark.parametrize("seed", range(CASES))


def random_path(rng, kind):
    """A walk around 1000 ticks: trades at odd times, or candles of a minute; now and then a jump."""
    per_row, rows = (1, 120) if kind is Kind.TRADES else (4, 40)
    price, time_ms, ticks, times = 1_000, 1_000, [], []
    for _ in range(rows):
        time_ms += rng.choice([0, 1, 30, 400, 5_000, 90_000]) if per_row == 1 else 60_000
        price = max(2, price + rng.choice([0, 0, rng.randint(-4, 4), rng.randint(-4, 4), rng.randint(-60, 60)]))
        points = [price]
        if per_row == 4:
            close = max(2, price + rng.randint(-9, 9))
            low, high = max(1, min(price, close) - rng.randint(0, 12)), max(price, close) + rng.randint(0, 12)
            points = [price, low, high, close] if close >= price else [price, high, low, close]
            price = close
        ticks += points
        times += [time_ms + 60_000 * n // 3 for n in range(per_row)]
    by_row = [ticks[n : n + per_row] for n in range(0, len(ticks), per_row)]
    lots = [rng.choice([0, 1, 3, 50]) for _ in by_row] if rng.random() < 0.5 else None
    return Path(kind, per_row, times, ticks, [min(row) for row in by_row], [max(row) for row in by_row], lots)


def first_rows(path, rows):
    points = rows * path.per_row
    return Path(
        path.kind,
        path.per_row,
        path.time_ms[:points],
        path.ticks[:points],
        path.low[:rows],
        path.high[:rows],
        path.lots and path.lots[:rows],
    )


def random_run(seed):
    rng = random.Random(seed)
    path = random_path(rng, rng.choice([*Kind]))
    spec = replace(random_spec(rng), trigger_ticks=None, reconcile_ms=1 << 50)
    return path, spec, rng.choice([0, 1, 70, 400]), rng.choice([0, 1])


def walk(run, path=None):
    given_path, spec, latency_ms, beyond = run
    link = Link(spec, latency_ms)
    return Walk(path or given_path, link, beyond).run(), link


@seeds
def test_at_every_point_the_worth_is_that_of_the_trades_so_far(seed):
    run = random_run(seed)
    path, spec, _, _ = run
    curve, link = walk(run)
    fills = link.exchange.fills(OWNER, 0)
    unit = Fraction(spec.market.tick) * Fraction(spec.market.lot)
    cash, lots, done = Fraction(spec.cash), spec.lots, 0
    start = cash + lots * spec.centre_ticks * unit
    for point, time_ms in enumerate(path.time_ms):
        if point + 1 < len(path.time_ms) and path.time_ms[point + 1] == time_ms:
            continue  # a trade of this time may belong to either
        while done < len(fills) and (fills[done].time_ms <= time_ms or point == len(path.time_ms) - 1):
            fill = fills[done]
            sign = 1 if fill.side is Side.BUY else -1
            cash -= sign * fill.lots * fill.ticks * unit + Fraction(fill.fee)
            lots += sign * fill.lots
            done += 1
        worth = cash + lots * path.ticks[point] * unit
        assert curve.equity(point) == worth
        assert curve.grid_profit(point) + curve.floating(point) == worth - start
        assert curve.equities()[point] == pytest.approx(float(worth))
        assert curve.grid_profits()[point] == pytest.approx(float(curve.grid_profit(point)), abs=1e-9)
        assert curve.floatings()[point] == pytest.approx(float(curve.floating(point)), abs=1e-9)
    assert done == len(fills)


@seeds
def test_in_the_end_grid_and_venue_agree_and_nothing_is_unexplained(seed):
    run = random_run(seed)
    curve, link = walk(run)
    state, end = link.grid.state, len(curve) - 1
    assert link.balance() == (state.books.lots, state.books.cash)
    assert curve.at(end).fills == state.books.fills == len(link.exchange.fills(OWNER, 0))
    assert state.quarantined == 0
    if state.books.start_ticks:
        assert state.books.unexplained(curve.ticks[end]) == 0
        assert state.books.grid_profit() == curve.grid_profit(end)
        assert state.books.floating(curve.ticks[end]) == curve.floating(end)


@seeds
def test_every_fill_is_at_a_price_that_the_market_went_beyond_and_within_what_was_traded(seed):
    run = random_run(seed)
    path, _, _, beyond = run
    _, link = walk(run)
    fills = link.exchange.fills(OWNER, 0)
    last = path.per_row - 1
    for fill in fills:
        rows = [
            row
            for row in range(path.rows)
            if path.time_ms[row * path.per_row] <= fill.time_ms <= path.time_ms[row * path.per_row + last]
        ]
        if fill.maker and fill.side is Side.BUY:
            assert any(path.low[row] + beyond <= fill.ticks for row in rows), fill
        elif fill.maker:
            assert any(path.high[row] - beyond >= fill.ticks for row in rows), fill
    if path.lots is not None:
        assert sum(fill.lots for fill in fills if fill.maker) <= sum(path.lots)


@seeds
def test_what_comes_later_changes_nothing_before(seed):
    """No look ahead: the first rows alone give the same curve."""
    run = random_run(seed)
    path, rows = run[0], random.Random(seed).randint(1, 39)
    whole, _ = walk(run)
    part, _ = walk(run, first_rows(path, rows))
    for point in range(rows * path.per_row - 1):
        assert part.equity(point) == whole.equity(point)
        assert part.at(point).generation == whole.at(point).generation


@seeds
def test_rows_that_are_passed_over_would_have_changed_nothing(seed):
    run = random_run(seed)

    class EveryRow(Walk):
        def _next_row(self, row):
            return row

    path, spec, latency_ms, beyond = run
    quick, link = walk(run)
    slow_link = Link(spec, latency_ms)
    slow = EveryRow(path, slow_link, beyond).run()
    assert [(s.point, s.cash, s.lots, s.generation) for s in quick.stretches] == [
        (s.point, s.cash, s.lots, s.generation) for s in slow.stretches
    ]
    # Ids of orders have the time of the price in them for which a grid was built, and that may be a little later.
    assert [replace(fill, order_id="") for fill in link.exchange.fills(OWNER, 0)] == [
        replace(fill, order_id="") for fill in slow_link.exchange.fills(OWNER, 0)
    ]


def test_the_random_runs_reach_what_they_are_to_try():
    seen = Counter()
    for seed in range(60):
        curve, link = walk(random_run(seed))
        seen[link.grid.state.mode] += 1
        seen["traded"] += curve.at(len(curve) - 1).fills > 3
        seen["taken"] += any(not fill.maker for fill in link.exchange.fills(OWNER, 0))
    assert seen[Mode.LIVE] > 10
    assert seen[Mode.STOPPED] > 3
    assert seen["traded"] > 20
    assert seen["taken"] > 0
