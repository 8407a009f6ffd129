"""``m1cep grid``: plan a grid from history; those that run are in ``gridctl``."""

from __future__ import annotations

import importlib.util
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import orjson
import typer

from m1cep.model.time import parse_duration_us
from streams.cli import gridctl
from streams.cli.progress import ProgressBar
from streams.config import load_settings
from streams.errors import UsageError

app = typer.Typer(help="Grid trading: plan a grid from history, run it.", no_args_is_help=True)
for _command in (gridctl.start, gridctl.status, gridctl.pause, gridctl.resume, gridctl.stop):
    app.command()(_command)

WIDTH = 120  # of the tables, at least: a file or a pipe has no width of its own


class SizingName(StrEnum):
    """What stays the same from level to level."""

    BASE = "base"
    QUOTE = "quote"
    COMPOUNDING = "compounding"


class SpacingName(StrEnum):
    """How levels follow each other."""

    GEOMETRIC = "geometric"
    ARITHMETIC = "arithmetic"


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"expected a number such as 0.001, got {text!r}") from None


def _duration_ms(text: str) -> int:
    try:
        return parse_duration_us(text) // 1_000
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Number = {"parser": _decimal, "metavar": "NUMBER"}
Time = {"parser": _duration_ms, "metavar": "TIME"}


@app.command(
    epilog="Example: m1cep grid plan --history bitstamp --capital 10000 --maker-fee 0.00005 --tick 1 --lot 0.00000001"
)
def plan(  # noqa: PLR0913, PLR0917 - options, all by name
    history: Annotated[
        str, typer.Option(help="CSV, NDJSON or Parquet of trades or candles; or bitstamp, eurusd: real data, fetched.")
    ],
    capital: Annotated[Decimal, typer.Option(**Number, help="In quote: cash for buys, and the inventory for sells.")],
    maker_fee: Annotated[Decimal, typer.Option(**Number, help="Of the notional: 0.001 is 0.1 %.")],
    tick: Annotated[Decimal, typer.Option(**Number, help="Smallest step of a price.")],
    lot: Annotated[Decimal, typer.Option(**Number, help="Smallest step of a quantity.")],
    taker_fee: Annotated[Decimal | None, typer.Option(**Number, help="Default: the maker's.")] = None,
    min_notional: Annotated[Decimal, typer.Option(**Number, help="Smallest price times quantity.")] = Decimal(0),
    symbol: Annotated[
        str | None, typer.Option(help="Of the market; chooses rows where the history has several.")
    ] = None,
    sizing: Annotated[SizingName, typer.Option(help="What stays the same: quantity, money, share.")] = SizingName.QUOTE,
    spacing: Annotated[SpacingName, typer.Option(help="Equal ratios or equal distances.")] = SpacingName.GEOMETRIC,
    per_level: Annotated[
        Decimal | None,
        typer.Option(**Number, help="Of each buy: base or quote, as sized. Default: what the capital pays."),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option(**Time, help="How far to look for excursions. Default: 24h, or an eighth of the history."),
    ] = None,
    max_gap: Annotated[
        int | None,
        typer.Option(**Time, help="Allowed in the history. Default: 5 candles, or a tenth of the trades' time."),
    ] = None,
    max_orders: Annotated[int, typer.Option(help="Open at once.")] = 40,
    fee_margin: Annotated[
        Decimal, typer.Option(**Number, help="Steps are so many times what only pays fees.")
    ] = Decimal("1.5"),
    centre: Annotated[Decimal | None, typer.Option(**Number, help="Default: the newest price.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Draw price, levels and counts into this SVG.")
    ] = None,
    spec: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write what `m1cep grid start` takes into this file.")
    ] = None,
) -> None:
    """Plan a grid from history: how dense up and down, how far, how much on each level, and why.

    Exit code 1 when no grid can be planned, with the numbers that show why: a history too short or with gaps, fees that every
    step would lose on, a capital too small for one level.
    """
    if missing := [name for name in ("numpy", "polars") if importlib.util.find_spec(name) is None]:
        raise UsageError(
            f"the extra grid is needed, {' and '.join(missing)} not installed", "pip install 'm1cep[grid]'"
        )
    if plot is not None and plot.suffix.lower() != ".svg":
        raise UsageError(f"--plot {plot}: pictures are SVG", "name it *.svg; rsvg-convert, for one, makes a PNG of it")
    for file in filter(None, (plot, spec)):
        if not file.absolute().parent.is_dir():
            raise UsageError(f"{file} cannot be written: there is no folder {file.absolute().parent}")
    from rich.console import Console

    from m1cep.grid import wire
    from m1cep.grid.orders import Market
    from m1cep.grid.plan import PlanOptions, Sizing, Spacing, plan_grid
    from m1cep.grid.start import grid_spec
    from streams.grid.history import load_history
    from streams.grid.plot import draw
    from streams.grid.table import tables

    market = Market(
        symbol or {"bitstamp": "BTC-USD", "eurusd": "EUR-USD"}.get(history, "base-quote"),
        tick, lot, min_notional, maker_fee, maker_fee if taker_fee is None else taker_fee,
    )  # fmt: skip
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
        _write(plot, draw(found, rows))
    if spec is not None:
        _write(spec, orjson.dumps(wire.spec_plain(grid_spec(found)), option=orjson.OPT_INDENT_2).decode() + "\n")
    if as_json:
        typer.echo(orjson.dumps({"history": history} | found.to_dict()))
    else:
        Console(width=max(Console().width, WIDTH)).print(tables(found))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
