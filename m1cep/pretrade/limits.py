"""What accounts may do: limits by default, by account, by symbol; which lists refuse; which alerts do."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from m1cep.errors import PretradeError
from m1cep.pretrade.amounts import RATE_DIGITS, VALUE_DIGITS, of_decimal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.runtime.lookups import Lookups

SEVERITIES = ("info", "low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits in force for an account, or for a symbol. None: there is no such limit.

    Attributes:
        order_qty: units of the symbol, of one order.
        order_value: value of one order.
        price_band: how far a limit price may be from the last price, as a share of it, in units.
        open_orders: how many.
        orders_per_window: accepted orders within ``window_ms``.
        symbol_exposure: value of an account's largest possible position in one symbol.
        account_exposure: the sum of those.
        total_exposure: value of the largest possible position of all accounts in a symbol.
        margin: whether orders are refused while the account is worth less than its maintenance margin.
    """

    order_qty: int | None = None
    order_value: int | None = None
    price_band: int | None = None
    open_orders: int | None = None
    orders_per_window: int | None = None
    symbol_exposure: int | None = None
    account_exposure: int | None = None
    total_exposure: int | None = None
    margin: bool | None = None


NAMES = tuple(f.name for f in fields(Limits))
VALUES = frozenset({"order_value", "symbol_exposure", "account_exposure", "total_exposure"})
UNITS = frozenset({"order_qty", "price_band"})
#: Those that only make sense for a symbol; all others can stand anywhere.
OF_SYMBOLS = frozenset({"total_exposure"})


def limit(name: str, given: Any) -> Any:
    """A limit as ``Limits`` holds it.

    Args:
        name: of the limit.
        given: a Decimal or a whole number; of a parameter also its text or a float, which counts as it is written.

    Raises:
        PretradeError: it does not fit.
    """
    if name == "margin":
        if not isinstance(given, bool):
            raise PretradeError(f"limit {name}: expected true or false, got {given!r}")
        return given
    if isinstance(given, bool) or not isinstance(given, (int, float, str, Decimal)):
        raise PretradeError(f"limit {name}: expected a number, got {given!r}")
    try:
        number = of_decimal(Decimal(str(given)))
    except (ArithmeticError, PretradeError) as error:
        raise PretradeError(f"limit {name}: expected a number that is not negative, got {given!r}") from error
    if name in VALUES:
        return number * 10 ** (VALUE_DIGITS - 24)
    if name in UNITS:
        return number
    whole, rest = divmod(number, 10**24)
    if rest:
        raise PretradeError(f"limit {name}: expected a whole number, got {given!r}")
    return whole


@dataclass(frozen=True, slots=True)
class Rules:
    """All that a file of limits says.

    Attributes:
        version: of the contents.
        currency: of all values.
        default: limits of every account; ``accounts`` has what is different for some.
        symbols: further bounds: of an account's limit and its symbol's the smaller counts.
        only_known_symbols: whether other symbols are refused.
        quotes: in which currency prices are, by symbol; of the others what follows the last ``-`` or ``/``.
        first_prices: by symbol, the price until one is heard, in units.
        rates: what a unit of another currency is worth, in 10^-6.
        window_ms: of ``orders_per_window``.
        refuse_alerts: open alerts so grave or graver refuse all orders; None: none does.
        refuse_accounts, refuse_symbols: names of lists whose members are refused.
        allow_symbols: name of the list outside which symbols are refused; empty: there is none.
        parameters: by limit, the name of the parameter that replaces it, by account.
        confirm_within_ms: an accepted order is heard of on the topic of orders by then, or was not placed.
        settle_within_ms: the fills before a cancel are heard by then, and what belongs to an order of which only a part is known.
    """

    version: str
    currency: str = "USD"
    default: Limits = field(default_factory=Limits)
    accounts: Mapping[str, Limits] = field(default_factory=dict)
    symbols: Mapping[str, Limits] = field(default_factory=dict)
    only_known_symbols: bool = False
    quotes: Mapping[str, str] = field(default_factory=dict)
    rates: Mapping[str, int] = field(default_factory=dict)
    first_prices: Mapping[str, int] = field(default_factory=dict)
    window_ms: int = 1_000
    refuse_alerts: str | None = "critical"
    refuse_accounts: tuple[str, ...] = ()
    refuse_symbols: tuple[str, ...] = ()
    allow_symbols: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    confirm_within_ms: int = 2_000
    settle_within_ms: int = 60_000

    @property
    def quiet_ms(self) -> int:
        """So long after a start nothing may be decided: what a process before this one has accepted counts until then."""
        limits = (self.default, *self.accounts.values(), *self.symbols.values())
        rated = "orders_per_window" in self.parameters or any(x.orders_per_window is not None for x in limits)
        return max(self.confirm_within_ms, self.window_ms if rated else 0)

    def rate(self, symbol: str) -> int | None:
        """What a unit of the symbol's quote currency is worth, in 10^-6 of ``currency``; None: that is not known."""
        quote = self.quotes.get(symbol) or symbol.replace("/", "-").rpartition("-")[2]
        return 10**RATE_DIGITS if quote == self.currency else self.rates.get(quote)


class InForce:
    """The limits of each account and symbol, put together from the file and from the parameters as they are now.

    Args:
        rules: the file.
        lookups: lists and parameters.
    """

    def __init__(self, rules: Rules, lookups: Lookups) -> None:
        self.rules = rules
        self._lookups = lookups
        self._revision: int | None = None
        self._found: dict[tuple[str, str], Limits] = {}

    def of(self, account: str, symbol: str) -> Limits:
        """What counts for an order of the account in the symbol.

        Raises:
            PretradeError: a parameter is not a limit.
        """
        if self._lookups.revision != self._revision or len(self._found) > 200_000:
            self._found.clear()
            self._revision = self._lookups.revision
        found = self._found.get((account, symbol))
        if found is None:
            found = self._found[account, symbol] = self._of(account, symbol)
        return found

    def _of(self, account: str, symbol: str) -> Limits:
        rules = self.rules
        own = _over(rules.default, rules.accounts.get(account))
        for name, parameter in rules.parameters.items():
            found = self._lookups.parameter(parameter)
            given = None if found is None else found.by_key.get(account, found.default)
            if given is not None:
                own = replace(own, **{name: limit(name, given)})
        return _smaller(own, rules.symbols.get(symbol))


def _over(one: Limits, other: Limits | None) -> Limits:
    """``one``, with what ``other`` says in its place."""
    if other is None:
        return one
    return replace(one, **{n: value for n in NAMES if (value := getattr(other, n)) is not None})


def _smaller(one: Limits, other: Limits | None) -> Limits:
    if other is None:
        return one
    both = {n: [v for v in (getattr(one, n), getattr(other, n)) if v is not None] for n in NAMES}
    # Of margin the stricter word is True.
    return Limits(**{n: (max(v) if n == "margin" else min(v)) if v else None for n, v in both.items()})
