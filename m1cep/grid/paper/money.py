"""Money of a market as whole numbers, and balances in it: nothing is ever rounded."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation, Rounded
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m1cep.grid.orders import Market

_EXACT = Context(prec=200, traps=[Inexact, Rounded, InvalidOperation])
_FINEST = -18  # decimals that any market's money has here, so that what is deposited can be counted


class Units:
    """How many units of money a market's amounts are.

    Attributes:
        notional: of one tick times one lot.
        maker, taker: the fee of one tick times one lot; negative: received.
        held: what one tick times one lot of a buy order may cost at most.
        least: how many ticks times lots an order must be, by the market's smallest notional.
    """

    __slots__ = ("_exponent", "held", "least", "maker", "notional", "taker")

    def __init__(self, market: Market) -> None:
        cell = _EXACT.multiply(market.tick, market.lot)
        maker = _EXACT.multiply(cell, market.maker_fee)
        taker = _EXACT.multiply(cell, market.taker_fee)
        self._exponent = min(_FINEST, *(_exponent(amount) for amount in (cell, maker, taker, market.min_notional)))
        self.notional, self.maker, self.taker = self.of(cell), self.of(maker), self.of(taker)
        self.held = self.notional + max(self.maker, self.taker, 0)
        self.least = -(-self.of(market.min_notional) // self.notional)

    def of(self, amount: Decimal) -> int:
        """An amount of the quote currency in units.

        Raises:
            ValueError: it is finer than the units of this market.
        """
        units = _EXACT.scaleb(amount, -self._exponent)
        if units != units.to_integral_value():
            raise ValueError(f"expected an amount in steps of 1E{self._exponent}, got {amount}")
        return int(units)

    def decimal(self, units: int) -> Decimal:
        """The amount of the quote currency that so many units are."""
        return _EXACT.scaleb(Decimal(units), self._exponent)


class Balance:
    """What a client has and what its open orders hold of it.

    Attributes:
        lots, held_lots: of the base currency.
        quote, held_quote: units of money.
    """

    __slots__ = ("held_lots", "held_quote", "lots", "quote")

    def __init__(self, lots: int = 0, quote: int = 0, held_lots: int = 0, held_quote: int = 0) -> None:
        self.lots = lots
        self.quote = quote
        self.held_lots = held_lots
        self.held_quote = held_quote


def _exponent(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int), "amounts are finite"
    return exponent
