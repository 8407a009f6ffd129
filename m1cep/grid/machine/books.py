"""A grid's money: exact, never rounded.

Prices and quantities are whole ticks and lots, so that everything but fees is a whole number of ``tick * lot``; fees are added
as they come. Whatever cannot be held exactly raises decimal.Inexact, and then nothing was booked.

Fills are matched last in, first out, which pairs a level's sell with the buy one step below it. The inventory that the grid
began with is no leg: sells of it wait, as legs of their own, for the buys that bring it back.
"""

from __future__ import annotations

from decimal import Clamped, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

import msgspec

from m1cep.grid.orders import Side

# 200 digits hold any price times any quantity that a market has; what needs more is a mistake, and is refused.
EXACT = Context(prec=200, Emax=9_999, Emin=-9_999, traps=[Inexact, Overflow, InvalidOperation, DivisionByZero, Clamped])


class Leg(msgspec.Struct, array_like=True):
    """Lots that were traded and not yet matched: bought above zero, sold below."""

    ticks: int
    lots: int


class Books(msgspec.Struct):
    """Cash, holdings and profit of one grid.

    Attributes:
        unit: quote of one tick times one lot.
        cash: in quote.
        lots: held.
        fees: paid, in quote.
        matched: profit of matched pairs before fees, in units.
        legs: what is not matched yet, the oldest first.
        fills: booked so far.
        start_cash, start_lots, start_ticks: when it began; the price is that of the first generation's centre.
    """

    unit: Decimal
    cash: Decimal
    lots: int
    start_cash: Decimal
    start_lots: int
    start_ticks: int = 0
    fees: Decimal = Decimal(0)
    matched: int = 0
    fills: int = 0
    legs: list[Leg] = []

    def book(self, side: Side, ticks: int, lots: int, fee: Decimal) -> None:
        """Take a fill into the books.

        Raises:
            decimal.Inexact: it cannot be booked without rounding; nothing has changed.
        """
        signed = lots if side is Side.BUY else -lots
        paid = self.money(ticks * signed)
        cash = EXACT.subtract(EXACT.subtract(self.cash, paid), fee)
        fees = EXACT.add(self.fees, fee)
        self.cash, self.fees = cash, fees
        self.lots += signed
        self.fills += 1
        self._match(ticks, signed)

    def _match(self, ticks: int, signed: int) -> None:
        legs = self.legs
        while signed and legs and (legs[-1].lots > 0) != (signed > 0):
            leg = legs[-1]
            taken = min(abs(leg.lots), abs(signed)) * (1 if leg.lots > 0 else -1)
            self.matched += taken * (ticks - leg.ticks)
            leg.lots -= taken
            signed += taken
            if not leg.lots:
                legs.pop()
        if signed and legs and legs[-1].ticks == ticks:
            legs[-1].lots += signed
        elif signed:
            legs.append(Leg(ticks, signed))

    def money(self, units: int) -> Decimal:
        """Whole ticks times whole lots, in quote."""
        return EXACT.multiply(self.unit, Decimal(units))

    def equity(self, ticks: int) -> Decimal:
        """Cash, and holdings at this price."""
        return EXACT.add(self.cash, self.money(self.lots * ticks))

    def start_equity(self) -> Decimal:
        """As it was when the grid began."""
        return EXACT.add(self.start_cash, self.money(self.start_lots * self.start_ticks))

    def equity_change(self, ticks: int) -> Decimal:
        """Since the grid began: from cash and holdings, not from matched pairs."""
        return EXACT.subtract(self.equity(ticks), self.start_equity())

    def grid_profit(self) -> Decimal:
        """Matched pairs, less all fees paid."""
        return EXACT.subtract(self.money(self.matched), self.fees)

    def floating(self, ticks: int) -> Decimal:
        """What is not matched, and the inventory of the beginning, valued at this price."""
        open_legs = sum(leg.lots * (ticks - leg.ticks) for leg in self.legs)
        return self.money(open_legs + self.start_lots * (ticks - self.start_ticks))

    def unexplained(self, ticks: int) -> Decimal:
        """Change of equity less grid profit and floating profit: zero, or the books are wrong."""
        return EXACT.subtract(EXACT.subtract(self.equity_change(ticks), self.grid_profit()), self.floating(ticks))
