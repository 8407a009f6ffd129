"""``m1cep grid backtest``: try a plan out on history."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Annotated

import typer

from streams.cli import grid_options as given
from streams.cli.progress import ProgressBar
from streams.config import load_settings


def backtest(  # noqa: PLR0913, PLR0917 - options, all by name
    history: given.History,
    capital: given.Capital,
    maker_fee: given.MakerFee,
    tick: given.TickSize,
    lot: given.LotSize,
    taker_fee: given.TakerFee = None,
    min_notional: given.MinNotional = Decimal(0),
    symbol: given.Symbol = None,
    sizing: given.SizingOption = given.SizingName.QUOTE,
    spacing: given.SpacingOption = given.SpacingName.GEOMETRIC,
    per_level: given.PerLevel = None,
    horizon: given.Horizon = None,
    max_gap: given.MaxGap = None,
    max_orders: given.MaxOrders = 40,
    fee_margin: given.FeeMargin = Decimal("1.5"),
    in_sample: Annotated[
        Decimal, typer.Option(**given.NUMBER, help="Share of the history that the plan is made on: the oldest rows.")
    ] = Decimal("0.5"),
    latency: Annotated[int, typer.Option(**given.TIME, help="Of every command and every report.")] = 50,
    touch: Annotated[
        bool,
        typer.Option("--touch", help="Fill an order as soon as the price touches it, not only when it goes beyond."),
    ] = False,
    stop_loss: Annotated[
        Decimal | None, typer.Option(**given.NUMBER, help="Sell all and stop, such a share below the first price.")
    ] = None,
    take_profit: Annotated[
        Decimal | None, typer.Option(**given.NUMBER, help="Sell all and stop, such a share above the first price.")
    ] = None,
    trail_up: Annotated[
        Decimal | None, typer.Option(**given.NUMBER, help="Build anew without a trade, such a share above the centre.")
    ] = None,
    trail_down: Annotated[
        Decimal | None, typer.Option(**given.NUMBER, help="Build anew without a trade, such a share below the centre.")
    ] = None,
    as_json: given.AsJson = False,
    plot: given.Plot = None,
) -> None:
    """Plan a grid on the first part of a history, and run it on that part and on the rest, against buy-and-hold.

    What runs is the grid's own state machine against the paper exchange. Each part begins anew with all of the capital; only the
    second is one that the plan has not seen. Exit code 1 where no grid can be planned, as with grid plan.
    """
    given.require_extra()
    given.check_plot(plot)
    from rich.console import Console

    from m1cep.grid.backtest import BacktestOptions
    from m1cep.grid.backtest import backtest as run
    from m1cep.grid.plan import PlanOptions, Sizing, Spacing
    from streams.grid.backtest_plot import Columns, draw
    from streams.grid.backtest_table import headline, notes_of, tables
    from streams.grid.history import load_history

    market = given.market_of(history, symbol, tick, lot, min_notional, maker_fee, taker_fee)
    plan_options = PlanOptions(
        capital=capital,
        sizing=Sizing(sizing),
        spacing=Spacing(spacing),
        per_level=per_level,
        horizon_ms=horizon,
        fee_margin=fee_margin,
        max_orders=max_orders,
        max_gap_ms=max_gap,
    )
    options = BacktestOptions(
        in_sample=in_sample,
        latency_ms=latency,
        touch=touch,
        stop_loss=stop_loss,
        take_profit=take_profit,
        trail_up=trail_up,
        trail_down=trail_down,
    )
    with ProgressBar("reading") as bar:
        rows = load_history(history, load_settings(), symbol, lambda what, done: bar.update(done, what))
    begun_s = time.process_time()
    with ProgressBar("planning and trading", total=len(rows)) as bar:
        found = run(rows, market, plan_options, options, bar.update)
    took_s = time.process_time() - begun_s
    speed = f"{len(rows):,} {rows.kind} in {took_s:.2f} s of processor time: {len(rows) / took_s:,.0f} a second, with planning"
    if plot is not None:
        given.write(plot, draw(*headline(found), [Columns.of(part) for part in found.parts]))
    if as_json:
        speed_of = {"rows": len(rows), "processor_s": round(took_s, 3), "rows_per_s": round(len(rows) / took_s)}
        given.print_json({"history": history} | found.to_dict() | {"notes": notes_of(found), "speed": speed_of})
    else:
        Console(width=max(Console().width, given.WIDTH)).print(tables(found, speed))
