"""Limits from a TOML file, read strictly: a name that is not known is refused, and numbers count exactly as they are written."""

from __future__ import annotations

import hashlib
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from m1cep.errors import PretradeError
from m1cep.pretrade import Limits, Rules, limit
from m1cep.pretrade.amounts import RATE_DIGITS, of_decimal
from m1cep.pretrade.limits import NAMES, OF_SYMBOLS
from streams.errors import UsageError
from streams.files import packaged_rules_dir, read_text

FILE = "limits.toml"


def _amount(given: object) -> object:
    """Text such as "0.05" is taken as the number it is."""
    if isinstance(given, str):
        return Decimal(given)  # pydantic shows what came where it is none
    return None if isinstance(given, bool) else given  # pydantic would take true for 1


Amount = Annotated[Decimal, BeforeValidator(_amount), Field(ge=0)]
Count = Annotated[int, Field(ge=0, strict=True)]
Millis = Annotated[int, Field(gt=0, le=86_400_000, strict=True)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Limits(_Strict):
    order_qty: Amount | None = None
    order_value: Amount | None = None
    price_band: Amount | None = None
    open_orders: Count | None = None
    orders_per_window: Annotated[int, Field(ge=0, le=100_000, strict=True)] | None = (
        None  # so many times are remembered
    )
    symbol_exposure: Amount | None = None
    account_exposure: Amount | None = None
    total_exposure: Amount | None = None
    margin: Annotated[bool, Field(strict=True)] | None = None

    def core(self) -> Limits:
        return Limits(**{n: limit(n, given) for n in NAMES if (given := getattr(self, n)) is not None})


class _Symbol(_Limits):
    quote: str | None = None
    first_price: Annotated[Amount, Field(gt=0)] | None = None


class _Feed(_Strict):
    market: Annotated[bool, Field(strict=True)] = True
    max_age_ms: Annotated[int, Field(ge=100, le=600_000, strict=True)] = 1_000
    confirm_within_ms: Millis = 2_000
    settle_within_ms: Millis = 60_000


class _Lists(_Strict):
    refuse_accounts: list[str] = []
    refuse_symbols: list[str] = []
    allow_symbols: str = ""
    when_away: Literal["unavailable", "last_known"] = "unavailable"


class LimitsFile(_Strict):
    """The whole file.

    Attributes:
        feed: with whether prices are of the market's trades, or of fills alone.
        lists: with what to do while the cache that they come from is away.
    """

    currency: Annotated[str, Field(min_length=1, max_length=16)] = "USD"
    window_ms: Millis = 1_000
    refuse_alerts: Literal["info", "low", "medium", "high", "critical", "none"] = "critical"
    only_known_symbols: Annotated[bool, Field(strict=True)] = False
    feed: _Feed = _Feed()
    rates: dict[str, Amount] = {}
    limits: _Limits = _Limits()
    accounts: dict[str, _Limits] = {}
    symbols: dict[str, _Symbol] = {}
    lists: _Lists = _Lists()
    parameters: dict[str, str] = {}

    def rules(self, version: str) -> Rules:
        """For the core.

        Raises:
            PretradeError: what is well formed makes no sense.
        """
        for place, found in (("limits", self.limits), *((f"accounts.{name}", a) for name, a in self.accounts.items())):
            for name in sorted(OF_SYMBOLS):
                if getattr(found, name) is not None:
                    raise PretradeError(f"{place}.{name}: this is a limit of a symbol: move it to [symbols.NAME]")
        if wrong := sorted(self.parameters.keys() - set(NAMES) | self.parameters.keys() & OF_SYMBOLS):
            known = ", ".join(n for n in NAMES if n not in OF_SYMBOLS)
            raise PretradeError(f"parameters.{wrong[0]}: there is no such limit of accounts; there are {known}")
        return Rules(
            version,
            self.currency,
            self.limits.core(),
            {name: found.core() for name, found in self.accounts.items()},
            {name: found.core() for name, found in self.symbols.items()},
            only_known_symbols=self.only_known_symbols,
            quotes={name: found.quote for name, found in self.symbols.items() if found.quote},
            first_prices={name: of_decimal(p) for name, found in self.symbols.items() if (p := found.first_price)},
            rates={quote: _rate(quote, rate) for quote, rate in self.rates.items()},
            window_ms=self.window_ms,
            refuse_alerts=None if self.refuse_alerts == "none" else self.refuse_alerts,
            refuse_accounts=tuple(self.lists.refuse_accounts),
            refuse_symbols=tuple(self.lists.refuse_symbols),
            allow_symbols=self.lists.allow_symbols,
            parameters=self.parameters,
            confirm_within_ms=self.feed.confirm_within_ms,
            settle_within_ms=self.feed.settle_within_ms,
        )


def _rate(quote: str, rate: Decimal) -> int:
    scaled = rate.scaleb(RATE_DIGITS)
    if scaled != int(scaled) or not scaled:
        raise PretradeError(
            f"rates.{quote}: expected a number above zero of at most {RATE_DIGITS} decimals, got {rate}"
        )
    return int(scaled)


def load_limits(file: str | Path | None = None) -> tuple[LimitsFile, Rules]:
    """The limits of a file, the packaged ones by default. Their version is of the file's bytes.

    Raises:
        UsageError: the file cannot be read, or is not of the form of ``rules/limits.toml``; names the key.
    """
    path = packaged_rules_dir() / FILE if file is None else Path(file)
    text = read_text(path)
    try:
        tables: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
        found = LimitsFile.model_validate(tables)
        return found, found.rules(hashlib.sha256(text.encode()).hexdigest()[:12])
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    except ArithmeticError:
        raise UsageError(f"{path}: a number in it is none") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path}, {where}: {first['msg']}, got {first['input']!r:.60}") from None
    except PretradeError as error:
        raise UsageError(f"{path}, {error}") from None
