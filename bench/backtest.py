"""How fast a backtest walks, and what its candles hide.

    python bench/backtest.py [--turns 3] [--walks 100] [--step 0.005]

Speed, in processor time, without reading and planning: rows a second where nothing is reached, and what a generation costs.

What candles hide: random walks without drift, of one trade a second, each walked three times by the same grid without fees: trade
by trade, as candles of a minute, and of an hour. A price without drift gives nothing to anybody: what is earned beyond the error
comes from the way a candle is walked.
"""

from __future__ import annotations

import argparse
import statistics
import time
from decimal import Decimal

import numpy as np

from m1cep.grid.backtest.link import Link
from m1cep.grid.backtest.path import Path, path_of
from m1cep.grid.backtest.walk import Walk
from m1cep.grid.machine import GridSpec, Rung
from m1cep.grid.orders import Market
from m1cep.grid.plan import History
from m1cep.grid.plan.history import Kind

MARKET = Market("X-Y", Decimal("0.01"), Decimal("0.0001"))
LEVEL = Decimal(100)  # of money


def walked(path: Path, levels: int, step: str) -> tuple[float, int, float]:
    """Processor seconds, generations, and the change of equity in levels."""
    rungs = (Rung(quote=LEVEL, ratio=Decimal(step)),) * levels
    inventory = int(LEVEL * levels / MARKET.notional(path.ticks[0], 1)) + levels
    spec = GridSpec(
        market=MARKET,
        centre_ticks=path.ticks[0],
        up=rungs,
        down=rungs,
        cash=LEVEL * levels,
        lots=inventory,
        reconcile_ms=1 << 50,
    )
    link = Link(spec, latency_ms=50)
    begun = time.process_time()
    curve = Walk(path, link, beyond=1).run()
    took = time.process_time() - begun
    change = curve.equity(len(curve) - 1) - curve.equity(0)
    return took, link.grid.state.generation, float(change / LEVEL)


def prices(rows: int, sigma: float, seed: int) -> np.ndarray:
    """A walk whose expected price is always the first."""
    moves = np.random.default_rng(seed).normal(-sigma * sigma / 2, sigma, rows)
    return np.maximum(1_000 * np.exp(np.cumsum(moves)), 1).round(2)


def trades(price: np.ndarray) -> Path:
    """One a second."""
    return path_of(History.from_columns(Kind.TRADES, np.arange(len(price)) * 1_000, [price] * 4), MARKET)


def candles(price: np.ndarray, seconds: int) -> Path:
    """The same prices."""
    rows = price[: len(price) // seconds * seconds].reshape(-1, seconds)
    # What belongs to the open of a candle is the last trade before it: then nothing happens between two candles.
    first = np.append(rows[0, 0], rows[:-1, -1])
    high, low = np.maximum(rows.max(axis=1), first), np.minimum(rows.min(axis=1), first)
    times = np.arange(len(rows)) * seconds * 1_000
    return path_of(History.from_columns(Kind.CANDLES, times, [first, high, low, rows[:, -1]]), MARKET)


def speed(turns: int) -> None:
    """The best of some turns."""
    calm = prices(1_000_000, 0.00001, seed=1)
    for name, path in (("trades", trades(calm)), ("candles", candles(np.repeat(calm, 4), 4))):
        took = min(walked(path, 10, "0.5")[0] for _ in range(turns))
        print(f"{name}, nothing reached: {path.rows / took:,.0f} a second")
    busy = candles(prices(600_000, 0.0003, seed=1), 60)
    for levels in (5, 10, 20):
        took, generations, _ = min(walked(busy, levels, "0.002") for _ in range(turns))
        print(f"{2 * levels} orders: {generations:,} generations, {took / generations * 1e6:,.0f} us each")


def hidden(walks: int, step: str) -> None:
    """Mean and its standard error."""
    earned: dict[str, list[float]] = {"trade by trade": [], "candles of a minute": [], "candles of an hour": []}
    built = dict.fromkeys(earned, 0)
    for seed in range(walks):
        price = prices(7 * 86_400, 0.00008, seed)
        paths = (trades(price), candles(price, 60), candles(price, 3_600))
        for name, path in zip(earned, paths, strict=True):
            _, generations, change = walked(path, 5, step)
            earned[name].append(change)
            built[name] += generations
    for name, changes in earned.items():
        mean, error = statistics.mean(changes), statistics.stdev(changes) / len(changes) ** 0.5
        print(f"{name}: {mean:+.4f} +- {error:.4f} levels a week, {built[name] / walks:.1f} generations")
    for name in list(earned)[1:]:
        apart = [there - here for there, here in zip(earned[name], earned["trade by trade"], strict=True)]
        mean, error = statistics.mean(apart), statistics.stdev(apart) / len(apart) ** 0.5
        print(f"{name}, more than trade by trade: {mean:+.4f} +- {error:.4f}")


def main() -> None:
    """As above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--walks", type=int, default=100)
    parser.add_argument("--step", default="0.005")
    options = parser.parse_args()
    if options.turns:
        speed(options.turns)
    if options.walks > 1:
        hidden(options.walks, options.step)


if __name__ == "__main__":
    main()
