"""The options that planning a grid and trying it out have in common, and what is made of them."""

from __future__ import annotations

import importlib.util
import json
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from m1cep.model.time import parse_duration_us
from streams.errors import UsageError

if TYPE_CHECKING:
    from m1cep.grid.orders import Market

WIDTH = 120  # of tables, at least: a file or a pipe has no width of its own


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


def _duration_ms(text: str | int) -> int:
    if isinstance(text, int):  # typer gives defaults to the parser too
        return text
    try:
        return parse_duration_us(text) // 1_000
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


NUMBER = {"parser": _decimal, "metavar": "NUMBER"}
TIME = {"parser": _duration_ms, "metavar": "TIME"}

History = Annotated[
    str, typer.Option(help="CSV, NDJSON or Parquet of trades or candles; or bitstamp, eurusd: real data, fetched.")
]
Capital = Annotated[Decimal, typer.Option(**NUMBER, help="In quote: cash for buys, and the inventory for sells.")]
MakerFee = Annotated[Decimal, typer.Option(**NUMBER, help="Of the notional: 0.001 is 0.1 %.")]
TakerFee = Annotated[Decimal | None, typer.Option(**NUMBER, help="Default: the maker's.")]
TickSize = Annotated[Decimal, typer.Option("--tick", **NUMBER, help="Smallest step of a price.")]
LotSize = Annotated[Decimal, typer.Option("--lot", **NUMBER, help="Smallest step of a quantity.")]
MinNotional = Annotated[Decimal, typer.Option(**NUMBER, help="Smallest price times quantity.")]
Symbol = Annotated[str | None, typer.Option(help="Of the market; chooses rows where the history has several.")]
SizingOption = Annotated[SizingName, typer.Option(help="What stays the same: quantity, money, share.")]
SpacingOption = Annotated[SpacingName, typer.Option(help="Equal ratios or equal distances.")]
PerLevel = Annotated[
    Decimal | None,
    typer.Option(**NUMBER, help="Of each buy: base or quote, as sized. Default: what the capital pays."),
]
Horizon = Annotated[
    int | None,
    typer.Option(**TIME, help="How far to look for excursions. Default: 24h, or an eighth of the history."),
]
MaxGap = Annotated[
    int | None,
    typer.Option(**TIME, help="Allowed in the history. Default: 5 candles, or a tenth of the trades' time."),
]
MaxOrders = Annotated[int, typer.Option(help="Open at once.")]
FeeMargin = Annotated[Decimal, typer.Option(**NUMBER, help="Steps are so many times what only pays fees.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Plot = Annotated[Path | None, typer.Option(dir_okay=False, help="Draw it into this SVG.")]


def require_extra() -> None:
    """Refuse with what to install where numpy or polars is missing."""
    if missing := [name for name in ("numpy", "polars") if importlib.util.find_spec(name) is None]:
        raise UsageError(
            f"the extra grid is needed, {' and '.join(missing)} not installed", "pip install 'm1cep[grid]'"
        )


def check_plot(plot: Path | None) -> None:
    """Refuse a picture that cannot be written, before any work is done."""
    if plot is not None and plot.suffix.lower() != ".svg":
        raise UsageError(f"--plot {plot}: pictures are SVG", "name it *.svg; rsvg-convert, for one, makes a PNG of it")
    check_folder(plot)


def check_folder(file: Path | None) -> None:
    """Refuse a file whose folder is not there, before any work is done."""
    if file is not None and not file.absolute().parent.is_dir():
        raise UsageError(f"{file} cannot be written: there is no folder {file.absolute().parent}")


def write(file: Path, text: str) -> None:
    """What was made, into the file that the user named."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error


def print_json(found: dict[str, Any]) -> None:
    """One object on stdout. Lots may be more than 64 bits hold (of 10^-18, say), which orjson refuses."""
    typer.echo(json.dumps(found, separators=(",", ":"), ensure_ascii=False))


def market_of(
    history: str,
    symbol: str | None,
    tick: Decimal,
    lot: Decimal,
    min_notional: Decimal,
    maker_fee: Decimal,
    taker_fee: Decimal | None,
) -> Market:
    """The market that the options describe."""
    from m1cep.grid.orders import Market

    name = symbol or {"bitstamp": "BTC-USD", "eurusd": "EUR-USD"}.get(history, "base-quote")
    return Market(name, tick, lot, min_notional, maker_fee, maker_fee if taker_fee is None else taker_fee)
