"""Quantities of levels, from a capital: whole lots, never more than the capital pays for, never below the smallest order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.grid.orders import Market

_DOWN = Context(prec=9, rounding=ROUND_DOWN)


class Sizing(StrEnum):
    """What stays the same from level to level and from one grid to the next."""

    BASE = "base"  # the quantity
    QUOTE = "quote"  # the money
    COMPOUNDING = "compounding"  # the share of the equity: the money grows and shrinks with it


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lots of each level, nearest first.

    Attributes:
        buys, sells: lots.
        buy_quote, sell_quote: money of a level, or 0 where the quantity is what stays.
        base_lots: to hold at the beginning, for the sells.
        base_cost: what they cost at the centre as a taker, in quote.
        cash: for the buys with their fees, in quote.
    """

    buys: tuple[int, ...]
    sells: tuple[int, ...]
    buy_quote: Decimal
    sell_quote: Decimal
    base_lots: int
    base_cost: Fraction
    cash: Fraction

    @property
    def needed(self) -> Fraction:
        """Capital, in quote."""
        return self.cash + self.base_cost


class Sizer:
    """Sizes levels at given prices.

    Args:
        centre_ticks: at which the inventory for the sells is bought.
        buys, sells: ticks of the levels, nearest first.
        ratio: of a sell's quantity to a buy's, at the first levels.
    """

    def __init__(
        self, market: Market, centre_ticks: int, buys: Sequence[int], sells: Sequence[int], ratio: float
    ) -> None:
        self.market = market
        self.buys = buys
        self.sells = sells
        self.ratio = Fraction(ratio)
        self._unit = Fraction(market.tick) * Fraction(market.lot)
        # The higher fee: a venue may say taker where we thought to rest.
        self._buy_cost = 1 + max(Fraction(0), Fraction(market.maker_fee), Fraction(market.taker_fee))
        self._centre = centre_ticks * self._unit * (1 + max(Fraction(0), Fraction(market.taker_fee)))

    def size(self, sizing: Sizing, capital: Decimal, per_level: Decimal | None) -> Sizes:
        """As much as the capital pays for, or ``per_level`` of each buy (in base, or in quote, as the sizing says)."""
        if sizing is Sizing.BASE:
            return self._equal_lots(capital, per_level)
        return self._equal_money(capital, per_level)

    def problem(self, sizes: Sizes) -> str:
        """Why a venue would not take these orders; empty where it would."""
        least = Fraction(self.market.min_notional)
        for side, prices, lots in (("buy", self.buys, sizes.buys), ("sell", self.sells, sizes.sells)):
            for ticks, n in zip(prices, lots, strict=True):
                price = self.market.price(ticks)
                if n < 1:
                    return f"a {side} at {price:f} comes to less than one lot of {self.market.lot:f}"
                if ticks * n * self._unit < least:
                    quantity = self.market.quantity(n)
                    money = self.market.notional(ticks, n).normalize()
                    return (
                        f"a {side} of {quantity:f} at {price:f} comes to {money:f}, the venue takes "
                        f"{self.market.min_notional:f} at least"
                    )
        return ""

    def least_capital(self) -> Fraction:
        """For the smallest orders that the venue takes at these levels, sizes in the neutral ratio."""
        least = Fraction(self.market.min_notional) / self._unit
        lots = max(
            *(max(1, math.ceil(least / ticks)) for ticks in self.buys),
            *(math.ceil(max(1, math.ceil(least / ticks)) / self.ratio) for ticks in self.sells),
        )
        return self._sizes([lots] * len(self.buys), [math.ceil(lots * self.ratio)] * len(self.sells)).needed

    def _equal_lots(self, capital: Decimal, per_level: Decimal | None) -> Sizes:
        if per_level is None:
            per_lot = sum(self.buys) * self._unit * self._buy_cost + len(self.sells) * self.ratio * self._centre
            lots = math.floor(Fraction(capital) / per_lot) + 1  # a sell's lots may be rounded down
        else:
            lots = math.floor(Fraction(per_level) / Fraction(self.market.lot))
        while True:
            sizes = self._sizes([lots] * len(self.buys), [round(lots * self.ratio)] * len(self.sells))
            if per_level is not None or lots <= 1 or sizes.needed <= capital:
                return sizes
            lots -= 1

    def _equal_money(self, capital: Decimal, per_level: Decimal | None) -> Sizes:
        # The ratio holds between the quantities of the first levels.
        more = self.ratio * Fraction(self.sells[0], self.buys[0]) if self.buys and self.sells else Fraction(1)
        if per_level is None:
            inventory = sum((more / (ticks * self._unit) for ticks in self.sells), Fraction(0)) * self._centre
            budget = Fraction(capital) / (len(self.buys) * self._buy_cost + inventory)
        else:
            budget = Fraction(per_level)
        buy_quote, sell_quote = _rounded_down(budget), _rounded_down(budget * more)
        return self._sizes(
            [math.floor(Fraction(buy_quote) / (ticks * self._unit)) for ticks in self.buys],
            [math.floor(Fraction(sell_quote) / (ticks * self._unit)) for ticks in self.sells],
            buy_quote,
            sell_quote,
        )

    def _sizes(
        self, buys: list[int], sells: list[int], buy_quote: Decimal = Decimal(0), sell_quote: Decimal = Decimal(0)
    ) -> Sizes:
        cash = sum(ticks * lots for ticks, lots in zip(self.buys, buys, strict=True)) * self._unit * self._buy_cost
        base_lots = sum(sells)
        return Sizes(
            tuple(buys), tuple(sells), buy_quote, sell_quote, base_lots, base_lots * self._centre, Fraction(cash)
        )


def _rounded_down(money: Fraction) -> Decimal:
    """To nine digits: exact from here on."""
    return _DOWN.normalize(_DOWN.divide(Decimal(money.numerator), Decimal(money.denominator)))
