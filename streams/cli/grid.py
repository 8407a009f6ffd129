"""``m1cep grid``: plan a grid from history; trying a plan out is in ``grid_backtest``, grids that run are in ``gridctl``."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import orjson
import typer

from streams.cli import grid_options as given
from streams.cli import gridctl
from streams.cli.grid_backtest import backtest
from streams.cli.progress import ProgressBar
from streams.config import load_settings

app = typer.Typer(help="Grid trading: plan a grid from history, try it out, run it.", no_args_is_help=True)
for _command in (gridctl.start, gridctl.status, gridctl.pause, gridctl.resume, gridctl.stop):
    app.command()(_command)
app.command(
    epilog="Example: m1cep grid backtest --history eurusd --max-gap 4d --capital 10000 --maker-fee 0.0001 --tick 0.00001 --lot 1"
)(backtest)


@app.command(
    epilog="Example: m1cep grid plan --history bitstamp --capital 10000 --maker-fee 0.00005 --tick 1 --lot 0.00000001"
)
def plan(  # noqa: PLR0913, PLR0917 - options, all by name
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
    centre: Annotated[Decimal | None, typer.Option(**given.NUMBER, help="Default: the newest price.")] = None,
    as_json: given.AsJson = False,
    plot: given.Plot = None,
    spec: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write what `m1cep grid start` takes into this file.")
    ] = None,
) -> None:
    """Plan a grid from history: how dense up and down, how far, how much on each level, and why.

    Exit code 1 when no grid can be planned, with the numbers that show why: a history too short or with gaps, fees that every
    step would lose on, a capital too small for one level.
    """
    given.require_extra()
    given.check_plot(plot)
    given.check_folder(spec)
    from rich.console import Console

    from m1cep.grid import wire
    from m1cep.grid.plan import PlanOptions, Sizing, Spacing, plan_grid
    from m1cep.grid.start import grid_spec
    from streams.grid.history import load_history
    from streams.grid.plot import draw
    from streams.grid.table import tables

    market = given.market_of(history, symbol, tick, lot, min_notional, maker_fee, taker_fee)
    options = PlanOptions(
        capital=capital,
        sizing=Sizing(sizing),
        spacing=Spacing(spacing),
        per_level=per_level,
        horizon_ms=horizon,
        fee_margin=fee_margin,
        max_orders=max_orders,
        max_gap_ms=max_gap,
        centre=centre,
    )
    with ProgressBar("reading") as bar:
        rows = load_history(history, load_settings(), symbol, lambda what, done: bar.update(done, what))
        bar.update(0, "planning")
        found = plan_grid(rows, market, options)
    if plot is not None:
        given.write(plot, draw(found, rows))
    if spec is not None:
        given.write(spec, orjson.dumps(wire.spec_plain(grid_spec(found)), option=orjson.OPT_INDENT_2).decode() + "\n")
    if as_json:
        given.print_json({"history": history} | found.to_dict())
    else:
        Console(width=max(Console().width, given.WIDTH)).print(tables(found))
