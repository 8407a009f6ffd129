"""Split, plan on the first part, walk both parts, compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING

from m1cep.errors import GridError
from m1cep.grid.backtest.link import Link
from m1cep.grid.backtest.path import path_of
from m1cep.grid.backtest.result import Backtest, Hold, Part, deepest
from m1cep.grid.backtest.walk import Walk
from m1cep.grid.machine.books import EXACT
from m1cep.grid.plan import plan_grid
from m1cep.grid.plan.history import MIN_ROWS
from m1cep.grid.plan.planner import check_options
from m1cep.grid.start import grid_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.grid.backtest.curve import Curve
    from m1cep.grid.backtest.path import Path
    from m1cep.grid.machine import GridSpec
    from m1cep.grid.orders import Market
    from m1cep.grid.plan import GridPlan, History, PlanOptions

MAX_LATENCY_MS = 2_000  # the machine asks for what was not answered within 5 s
CLOSE_WITHIN = Decimal("0.01")  # of the first price: so far below the market at most is sold after a stop-loss
_NEVER_MS = 1 << 50


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """How a plan is tried out.

    Attributes:
        in_sample: share of the rows that the plan sees, the oldest; 1: all, and nothing is left to try it out on.
        latency_ms: of every command and every report.
        touch: an order is filled as soon as the price reaches it; else the price must go at least one tick beyond, as others
            stand before it in the queue.
        stop_loss, take_profit: shares of the first price of each part; so far below, or above, the grid cancels everything,
            sells what it holds and stops. None: never.
        trail_up, trail_down: shares of the first price; so far from its centre the grid is built anew without a trade. None:
            never.
    """

    in_sample: Decimal = Decimal("0.5")
    latency_ms: int = 50
    touch: bool = False
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trail_up: Decimal | None = None
    trail_down: Decimal | None = None


def backtest(
    history: History,
    market: Market,
    plan_options: PlanOptions,
    options: BacktestOptions,
    progress: Callable[[int], None] | None = None,
) -> Backtest:
    """Plan on the first part of a history, and run the plan on that part and on the rest, each with all of the capital.

    Args:
        history: at least 50 rows in each part.
        market: ticks, lots and fees.
        plan_options: as for a plan; the centre is always the first price of the part.
        options: how it is tried out.
        progress: called now and then with the rows that are done.

    Raises:
        GridError: no grid can be planned, the history is too short to be split, or an option cannot be.
    """
    check_options(market, plan_options)
    _check(options, plan_options)
    plan_options = replace(plan_options, max_gap_ms=history.check_gaps(plan_options.max_gap_ms))
    seen_rows = floor(len(history) * Fraction(options.in_sample))
    if options.in_sample < 1 and not MIN_ROWS <= seen_rows <= len(history) - MIN_ROWS:
        raise GridError(
            f"the history is too short to be split: of {len(history)} rows {seen_rows} would be seen by the plan and "
            f"{len(history) - seen_rows} not, and each part needs at least {MIN_ROWS}"
        )
    seen = history.part(0, seen_rows)

    def run(name: str, part: History, done: int) -> Part:
        path = path_of(part, market)
        plan = plan_grid(seen, market, replace(plan_options, centre=market.price(path.ticks[0])))
        return _run(name, path, plan, options, progress and (lambda rows: progress(done + rows)))

    first = run("in_sample", seen, 0)
    if seen_rows == len(history):
        return Backtest(first, None)
    return Backtest(first, run("out_of_sample", history.part(seen_rows, len(history)), seen_rows))


def _run(
    name: str, path: Path, plan: GridPlan, options: BacktestOptions, progress: Callable[[int], None] | None
) -> Part:
    market, capital = plan.market, plan.capital
    inventory = _money(market, plan.centre_ticks, plan.base_lots)
    entry_fee = EXACT.multiply(inventory, market.taker_fee)
    left = EXACT.subtract(EXACT.subtract(capital, inventory), entry_fee)
    spec = _spec(plan, min(plan.cash, left), options)
    idle = EXACT.subtract(left, spec.cash)
    link = Link(spec, options.latency_ms)
    curve = Walk(path, link, beyond=0 if options.touch else 1).run(progress)

    state, end = link.grid.state, len(curve) - 1
    # The worth is that of the venue's balances; what explains it is the grid's own books.
    lots, cash = link.balance()
    equity = EXACT.add(EXACT.add(cash, _money(market, curve.ticks[end], lots)), idle)
    grid_profit, floating = state.books.grid_profit(), state.books.floating(curve.ticks[end])
    explained = EXACT.subtract(EXACT.add(grid_profit, floating), entry_fee)
    values = curve.equities() + float(idle)
    return Part(
        name=name,
        rows=path.rows,
        plan=plan,
        curve=curve,
        capital=capital,
        idle=idle,
        entry_fee=entry_fee,
        equity=equity,
        grid_profit=grid_profit,
        floating=floating,
        fees=EXACT.add(state.books.fees, entry_fee),
        unexplained=EXACT.subtract(EXACT.subtract(equity, capital), explained),
        generations=state.generation,
        fills=state.books.fills,
        state=state.mode.value,
        reason=state.reason,
        drawdown=deepest(values, curve.time_ms, lambda point: EXACT.add(curve.equity(point), idle)),
        hold=_hold(market, curve, capital),
    )


def _spec(plan: GridPlan, cash: Decimal, options: BacktestOptions) -> GridSpec:
    def ticks(share: Decimal | None, begin: int = 0, sign: int = 1) -> int | None:
        """``begin`` times the centre, and that share of it more or less."""
        return None if share is None else max(1, round(plan.centre_ticks * (begin + sign * Fraction(share))))

    closes = options.stop_loss is not None or options.take_profit is not None
    return replace(
        grid_spec(plan),
        cash=cash,
        stop_loss_ticks=ticks(options.stop_loss, 1, -1),
        take_profit_ticks=ticks(options.take_profit, 1),
        close_ticks=ticks(CLOSE_WITHIN) if closes else None,
        trail_up_ticks=ticks(options.trail_up),
        trail_down_ticks=ticks(options.trail_down),
        reconcile_ms=_NEVER_MS,  # nothing is lost here, so that there is nothing to compare
    )


def _hold(market: Market, curve: Curve, capital: Decimal) -> Hold:
    first = curve.ticks[0]
    lots = floor(Fraction(capital) / (Fraction(_money(market, first, 1)) * (1 + Fraction(market.taker_fee))))
    cost = _money(market, first, lots)
    fee = EXACT.multiply(cost, market.taker_fee)
    cash = EXACT.subtract(EXACT.subtract(capital, cost), fee)

    def equity(point: int) -> Decimal:
        return EXACT.add(cash, _money(market, curve.ticks[point], lots))

    values = curve.prices * (lots * float(curve.unit)) + float(cash)
    return Hold(capital, lots, cash, fee, equity(len(curve) - 1), deepest(values, curve.time_ms, equity))


def _money(market: Market, ticks: int, lots: int) -> Decimal:
    """Price times quantity, however many digits it has."""
    return EXACT.multiply(EXACT.multiply(market.tick, market.lot), Decimal(ticks * lots))


def _check(options: BacktestOptions, plan: PlanOptions) -> None:
    """Numbers that cannot be, whatever the history."""
    if plan.centre is not None:
        raise GridError(f"expected no centre, got {plan.centre}: each part begins around its own first price")
    if not (options.in_sample.is_finite() and 0 < options.in_sample <= 1):
        raise GridError(f"expected a share in sample above 0 and up to 1, got {options.in_sample}")
    if not 0 <= options.latency_ms <= MAX_LATENCY_MS:
        raise GridError(
            f"expected a latency from 0 to {MAX_LATENCY_MS} ms, got {options.latency_ms}: what takes longer there and "
            "back is asked for again, and orders are not sent any more"
        )
    for name in ("stop_loss", "take_profit", "trail_up", "trail_down"):
        share = getattr(options, name)
        if share is not None and not (share.is_finite() and 0 < share < (100 if name == "take_profit" else 1)):
            raise GridError(f"expected a {name} that is a share of the price, such as 0.1 for 10 %, got {share}")
