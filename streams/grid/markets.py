"""The markets that there are, from a TOML file; numbers are read exactly as they are written."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from m1cep.grid.orders import Market
from streams.errors import UsageError
from streams.files import packaged_rules_dir, read_text

Step = Annotated[Decimal, Field(gt=0)]
Share = Annotated[Decimal, Field(gt=-1, lt=1)]


class _Market(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tick: Step
    lot: Step
    min_notional: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    maker_fee: Share = Decimal(0)
    taker_fee: Share = Decimal(0)


def load_markets(file: str | Path | None = None) -> dict[str, Market]:
    """The markets of a file, by symbol; the packaged ones by default.

    Raises:
        UsageError: the file cannot be read, or a market in it is not of the form of ``rules/markets.toml``.
    """
    path = packaged_rules_dir() / "markets.toml" if file is None else Path(file)
    try:
        tables = tomllib.loads(read_text(path), parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    found: dict[str, Market] = {}
    for symbol, table in tables.items():
        try:
            found[symbol] = Market(symbol, **_Market.model_validate(table).model_dump())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, (symbol, *first["loc"])))
            raise UsageError(f"{path}, {where}: {first['msg']}, got {first['input']!r:.60}") from None
    if not found:
        raise UsageError(f"{path} has no market", 'a market is a table such as ["BTC-USD"] with tick and lot')
    return found
