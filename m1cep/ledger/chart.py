"""The chart of accounts: which assets there are, how finely they divide, and who may be below zero.

[assets]                              # decimals of each
USD = 8
"bitcoin:regtest/BTC" = 8             # of custody: as its letters name chain and asset

[markets]                             # only those whose name is not BASE-QUOTE or BASE/QUOTE
XBTUSD = ["BTC", "USD"]

[accounts]
overdraft = ["client/desk-*"]         # patterns of kind/owner: these may be below zero
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow
from fnmatch import fnmatchcase
from typing import Any

from m1cep.errors import LedgerError, nearest
from m1cep.ledger.accounts import MOST_UNITS, SIDES, AccountKey, Kind

MOST_DECIMALS = 30
#: Beyond these exponents no amount is meant, and reckoning with it would take for ever.
_MOST_EXPONENT = 40
_EXACT = Context(prec=300, traps=[Inexact, InvalidOperation, Overflow])
_ROUNDED = Context(prec=300, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])


@dataclass(frozen=True)
class Chart:
    """See the module.

    Attributes:
        decimals: of each asset, by its code.
        markets: base and quote asset of symbols that do not say so by their name.
        overdraft: patterns (``*``, ``?``) of kind/owner.
    """

    decimals: Mapping[str, int]
    markets: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    overdraft: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.decimals:
            raise LedgerError("bad_chart", "expected at least one asset under [assets]")
        for code, decimals in self.decimals.items():
            if type(decimals) is not int or not 0 <= decimals <= MOST_DECIMALS:
                raise LedgerError(
                    "bad_chart", f"asset {code}: expected 0 to {MOST_DECIMALS} decimals, got {decimals!r}"
                )
            check_name(code, "asset")
        for symbol, pair in self.markets.items():
            if not isinstance(pair, tuple) or len(pair) != 2 or not set(pair) <= self.decimals.keys():
                raise LedgerError(
                    "bad_chart", f"market {symbol}: expected base and quote among the assets, got {pair!r}"
                )
        for pattern in self.overdraft:
            if not isinstance(pattern, str) or not pattern.startswith(tuple(f"{kind}/" for kind in SIDES)):
                kinds = " or ".join(f"{kind}/OWNER" for kind in SIDES)
                raise LedgerError(
                    "bad_chart", f"overdraft: expected {kinds}, got {pattern!r}; the others may be anyway"
                )

    def may_overdraw(self, key: AccountKey) -> bool:
        """Whether an account is opened as one that may be below zero."""
        return any(fnmatchcase(f"{key.kind}/{key.owner}", pattern) for pattern in self.overdraft)

    def account(self, kind: Kind, owner: str, asset: str) -> AccountKey:
        """The key of an account that may be.

        Raises:
            LedgerError: the asset is not in the chart, or the owner's name is none.
        """
        self.check_asset(asset)
        check_name(owner, "account")
        return AccountKey(kind, owner, asset)

    def check_asset(self, asset: str) -> int:
        """Its decimals.

        Raises:
            LedgerError: it is not in the chart.
        """
        decimals = self.decimals.get(asset)
        if decimals is None:
            raise LedgerError(
                "unknown_asset", f"there is no asset {asset[:60]!r} in the chart; {nearest(asset, self.decimals)}"
            )
        return decimals

    def pair(self, symbol: str) -> tuple[str, str]:
        """Base and quote of a symbol.

        Raises:
            LedgerError: it is no market whose two assets are in the chart.
        """
        known = self.markets.get(symbol)
        if known is not None:
            return known
        for separator in "-/":
            base, found, quote = symbol.partition(separator)
            if found and base in self.decimals and quote in self.decimals:
                return base, quote
        raise LedgerError(
            "unknown_asset", f"{symbol[:60]!r} is not BASE-QUOTE of two assets in the chart, nor under its [markets]"
        )

    def units(self, asset: str, amount: Decimal) -> int:
        """Minor units of an amount that was paid: exact.

        Raises:
            LedgerError: no number above zero, more decimals than the asset has, or more than a transfer may move.
        """
        decimals = self.check_asset(asset)
        check_number(amount, "amount")
        try:
            scaled = _EXACT.to_integral_exact(_EXACT.scaleb(amount, decimals))
        except Inexact:
            shown = f"{amount:.60}" if len(str(amount)) < 60 else "it"
            raise LedgerError(
                "bad_amount", f"{asset} has {decimals} decimals, {shown} has more: round it yourself"
            ) from None
        return check_units(int(scaled), asset)

    def rounded(self, asset: str, amount: Decimal) -> int:
        """Minor units of what was reckoned (a price times a quantity, a fee): rounded to the nearest, half to even; 0 may be.

        Both sides of a trade round the same product, so nothing is made of it nor lost.

        Raises:
            LedgerError: not a number, or more than a transfer may move.
        """
        decimals = self.check_asset(asset)
        check_number(amount, "amount", least=None)
        units = int(_ROUNDED.to_integral_value(_ROUNDED.scaleb(amount, decimals)))
        if abs(units) > MOST_UNITS:
            check_units(abs(units), asset)
        return units


def multiply(price: Decimal, quantity: Decimal) -> Decimal:
    """The exact product of two numbers above zero.

    Raises:
        LedgerError: one of them is none.
    """
    return _EXACT.multiply(check_number(price, "price"), check_number(quantity, "qty"))


def check_number(number: Decimal, what: str, *, least: int | None = 0) -> Decimal:
    """The number again.

    Raises:
        LedgerError: it is not above ``least`` (None: may be anything finite), or absurdly long, large or small.
    """
    if not number.is_finite():
        raise LedgerError("bad_amount", f"expected a number as {what}, got {number}")
    _, digits, exponent = number.as_tuple()
    if len(digits) > 2 * _MOST_EXPONENT or not (
        isinstance(exponent, int) and -_MOST_EXPONENT <= exponent <= _MOST_EXPONENT
    ):
        raise LedgerError(
            "bad_amount", f"expected a {what} that can be meant, got one of {len(digits)} digits, E{exponent}"
        )
    if least is not None and number <= least:
        raise LedgerError("bad_amount", f"expected a {what} above {least}, got {number}")
    return number


def check_units(units: int, asset: str) -> int:
    """The minor units again.

    Raises:
        LedgerError: none, or more than a transfer may move.
    """
    if not 0 < units <= MOST_UNITS:
        raise LedgerError(
            "overflows_amount", f"expected 1 to {MOST_UNITS} minor units of {asset}, got {str(units)[:60]}"
        )
    return units


def check_name(name: str, what: str, most: int = 200) -> str:
    """The name again.

    Raises:
        LedgerError: it is empty, too long, or holds what is not to be seen.
    """
    if not name or len(name) > most or not name.isprintable():
        raise LedgerError("bad_name", f"expected 1 to {most} printable characters as {what}, got {name[:60]!r}")
    return name


def parse_chart(plain: Mapping[str, Any]) -> Chart:
    """A chart from what a TOML file holds.

    Raises:
        LedgerError: a table or key that is not known, or one that does not fit.
    """
    known = {"assets", "markets", "accounts"}
    if extra := sorted(set(plain) - known):
        raise LedgerError("bad_chart", f"[{extra[0]}] is not known; {nearest(extra[0], known)}")
    tables = {name: plain.get(name, {}) for name in known}
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise LedgerError("bad_chart", f"expected a table [{name}], got {type(table).__name__}")
    if extra := sorted(set(tables["accounts"]) - {"overdraft"}):
        raise LedgerError("bad_chart", f"accounts.{extra[0]} is not known; there is: overdraft")
    markets = {s: tuple(pair) if isinstance(pair, list) else pair for s, pair in tables["markets"].items()}
    overdraft = tables["accounts"].get("overdraft", [])
    if not isinstance(overdraft, list):
        raise LedgerError("bad_chart", f"accounts.overdraft: expected a list of patterns, got {overdraft!r}")
    return Chart(dict(tables["assets"]), markets, tuple(overdraft))
