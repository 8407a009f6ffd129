"""A planned grid, begun: the machine's first generation is the plan."""

from decimal import Decimal

import numpy as np
import pytest

from m1cep.grid.machine.books import Books
from m1cep.grid.machine.ladder import build
from m1cep.grid.orders import Market
from m1cep.grid.plan import History, PlanOptions, Sizing, Spacing, plan_grid
from m1cep.grid.start import grid_spec

MARKET = Market("X-Y", Decimal("0.01"), Decimal("0.0001"), Decimal(5), Decimal("0.0005"), Decimal("0.001"))


@pytest.mark.parametrize("sizing", Sizing)
@pytest.mark.parametrize("spacing", Spacing)
@pytest.mark.parametrize("seed", range(5))
def test_the_first_generation_is_the_plan(seed, spacing, sizing):
    walk = np.random.default_rng(seed).normal(0, 0.002, 600)
    prices = (100 * np.exp(np.cumsum(walk))).round(2)
    history = History.of_trades([(n * 60_000, float(price), 1.0) for n, price in enumerate(prices)])
    plan = plan_grid(history, MARKET, PlanOptions(capital=Decimal(5000), spacing=spacing, sizing=sizing))
    spec = grid_spec(plan)
    books = Books(
        unit=MARKET.tick * MARKET.lot,
        cash=spec.cash,
        lots=spec.lots,
        start_cash=spec.cash,
        start_lots=spec.lots,
        start_ticks=spec.centre_ticks,
    )
    built = {(order.side, order.level, order.ticks, order.lots) for order in build(spec, books, spec.centre_ticks, 0)}
    assert built == {(level.side, level.index, level.ticks, level.lots) for level in plan.levels}
    assert len(built) >= 2
