"""From a history to a grid: each number computed, then explained."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from m1cep.errors import GridError
from m1cep.grid.orders import Market, Side
from m1cep.grid.plan import explain
from m1cep.grid.plan.excursions import Excursions, choose_horizon, excursions
from m1cep.grid.plan.fitting import Layout, Steps, fit
from m1cep.grid.plan.history import duration
from m1cep.grid.plan.levels import Floors, fee_floors, step_in_ticks
from m1cep.grid.plan.result import Evidence, GridPlan, Level
from m1cep.grid.plan.width import MIN_MOVES, PPM, Width, best_width, fit_power_law, try_widths, usable

if TYPE_CHECKING:
    from m1cep.grid.plan.history import History
    from m1cep.grid.plan.options import PlanOptions

RANGE_AT = 95  # % quantile of the excursions that the levels reach
_CEILING = Context(prec=50, rounding=ROUND_CEILING)


def plan_grid(history: History, market: Market, options: PlanOptions) -> GridPlan:
    """A grid whose density up and down, range and quantities come from the history.

    Raises:
        GridError: the history, the market, the fees or the capital do not allow one; with the numbers that show why.
    """
    check_options(market, options)
    gap_ms = history.check_gaps(options.max_gap_ms)
    seen = excursions(history, choose_horizon(history, options.horizon_ms))
    centre_ticks = _centre(history, market, options)
    floors = fee_floors(market.maker_fee, market.maker_fee)
    least = _least_steps(floors, options, centre_ticks)
    cost = float(floors.up)
    widths = try_widths(history.path, min(least.least_up, least.least_down), cost)
    good = [width for width in usable(widths) if width.ppm >= least.least_up]
    if not good:
        raise GridError(_nothing_earns(widths, floors, market, least, centre_ticks, history))
    width = best_width(good)
    rho = seen.asymmetry()
    steps = replace(
        least,
        up=max(least.least_up, math.ceil(width.ppm * math.sqrt(rho))),
        down=max(least.least_down, math.ceil(width.ppm / math.sqrt(rho))),
    )
    wanted = _wanted(seen, steps)
    fitted = fit(Layout(market, options, centre_ticks, steps), options, wanted)
    evidence = Evidence(
        seen.horizon_ms,
        tuple((percent / 100, up, down) for percent, (up, down) in enumerate(seen.quantiles)),
        tuple(widths),
        width.ppm,
        cost,
        fit_power_law(good, cost),
    )
    facts = explain.Facts(
        history, gap_ms, seen, market, options, centre_ticks, floors, steps, width, good, rho, wanted, fitted
    )
    return _plan(facts, evidence)


def _plan(facts: explain.Facts, evidence: Evidence) -> GridPlan:
    sizer, sizes = facts.fitted.sizer, facts.fitted.sizes
    options, steps, centre = facts.options, facts.steps, facts.centre_ticks
    up, down = Fraction(steps.up, PPM), Fraction(steps.down, PPM)
    rows = ((Side.BUY, sizer.buys, sizes.buys), (Side.SELL, sizer.sells, sizes.sells))
    return GridPlan(
        market=facts.market,
        spacing=options.spacing,
        sizing=options.sizing,
        centre_ticks=centre,
        step_up=Decimal(steps.up) / PPM,
        step_down=Decimal(steps.down) / PPM,
        step_up_ticks=step_in_ticks(centre, up),
        step_down_ticks=step_in_ticks(centre, down),
        floor_up=_rounded_up(facts.floors.up, 9),
        floor_down=_rounded_up(facts.floors.down, 9),
        levels=tuple(
            Level(side, index, at, lots)
            for side, ticks, of_level in rows
            for index, (at, lots) in enumerate(zip(ticks, of_level, strict=True), 1)
        ),
        capital=options.capital,
        cash=_rounded_up(sizes.cash, 8),
        base_lots=sizes.base_lots,
        buy_quote=sizes.buy_quote,
        sell_quote=sizes.sell_quote,
        evidence=evidence,
        reasons=explain.reasons(facts, evidence),
        notes=explain.notes(facts, evidence),
    )


def check_options(market: Market, options: PlanOptions) -> None:
    """Refuse numbers that cannot be, whatever the history.

    Raises:
        GridError: says which, and what was expected.
    """
    for name, value in (("tick", market.tick), ("lot", market.lot), ("capital", options.capital)):
        if not (value.is_finite() and value > 0):
            raise GridError(f"expected a {name} above 0, got {value}")
    if options.per_level is not None and not (options.per_level.is_finite() and options.per_level > 0):
        raise GridError(f"expected an amount per level above 0, got {options.per_level}")
    if not (market.min_notional.is_finite() and market.min_notional >= 0):
        raise GridError(f"expected a minimum notional of 0 or more, got {market.min_notional}")
    if not (options.fee_margin.is_finite() and options.fee_margin >= 1):
        raise GridError(
            f"expected a fee margin of 1 or more, got {options.fee_margin}: below 1 every round trip loses on its fees"
        )
    if options.max_orders < 2:
        raise GridError(f"expected at least 2 orders, a buy and a sell, got {options.max_orders}")
    for name, fee in (("maker", market.maker_fee), ("taker", market.taker_fee)):
        if not (fee.is_finite() and abs(fee) < 1):
            raise GridError(f"expected a {name} fee between -1 and 1 (0.001 is 0.1 %), got {fee}")
    floor = fee_floors(market.maker_fee, market.maker_fee).down * Fraction(options.fee_margin)
    if floor >= 1:
        raise GridError(
            f"fees make every grid lose: with {market.maker_fee:%} on each side and a margin of {options.fee_margin} a buy "
            f"would have to be {float(floor):.0%} below the price"
        )


def _centre(history: History, market: Market, options: PlanOptions) -> int:
    price = Decimal(repr(history.last)) if options.centre is None else options.centre
    if not (price.is_finite() and price > 0):
        raise GridError(f"expected a centre above 0, got {price}")
    ticks = round(Fraction(price) / Fraction(market.tick))
    if ticks < 2:
        raise GridError(f"the tick {market.tick:f} is too large for a price of {price:f}: no buy fits below it")
    return ticks


def _least_steps(floors: Floors, options: PlanOptions, centre_ticks: int) -> Steps:
    tick = math.ceil(Fraction(PPM, centre_ticks))
    with_margin = floors.times(options.fee_margin)
    up, down = (max(1, tick, math.ceil(floor * PPM)) for floor in (with_margin.up, with_margin.down))
    return Steps(up, down, up, down)


def _nothing_earns(
    widths: list[Width], floors: Floors, market: Market, least: Steps, centre_ticks: int, history: History
) -> str:
    price = market.price(centre_ticks)
    whole = history.path.max() / history.path.min() - 1
    tick = math.ceil(Fraction(PPM, centre_ticks))
    first = next((width for width in widths if width.ppm >= least.least_up), None)
    counted = f"{first.ups} times up and {first.downs} times down" if first else "not once"
    went = (
        f"in {duration(history.span_ms)} the price moved that far {counted} (its whole range is {whole:.3%}); at least "
        f"{MIN_MOVES} moves, there and back, are needed"
    )
    if tick >= least.least_up:
        largest = max((width.step for width in usable(widths)), default=0.0)
        return (
            f"the tick {market.tick:f} is {tick / PPM:.3%} of the price {price:f}, larger than any step that this history "
            f"would earn on{f' ({largest:.3%})' if largest else ''}: {went}; take a longer history, or a market with a finer tick"
        )
    return (
        f"fees make every grid lose on this history: {market.maker_fee:%} on each side take all of a step of "
        f"{float(floors.up):.4%}, with the margin a step has to be {least.least_up / PPM:.4%}, and {went}; "
        "take a longer history, or a market with lower fees"
    )


def _wanted(seen: Excursions, steps: Steps) -> tuple[int, int]:
    """Levels up and down that reach the 95 % excursions, at least one each."""
    up, down = seen.quantile(RANGE_AT)
    return max(1, math.ceil(up * PPM / steps.up)), max(1, math.ceil(down * PPM / steps.down))


def _rounded_up(value: Fraction, digits: int) -> Decimal:
    return _CEILING.divide(Decimal(math.ceil(value * 10**digits)), Decimal(10**digits))
