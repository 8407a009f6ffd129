"""From a centre and the books to levels: prices, then quantities that the books can pay for."""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

from m1cep.grid.machine.books import EXACT
from m1cep.grid.machine.spec import fee_floor
from m1cep.grid.machine.state import Slot
from m1cep.grid.orders import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m1cep.grid.machine.books import Books
    from m1cep.grid.machine.spec import GridSpec, Rung


def prices(spec: GridSpec, side: Side, centre: int) -> list[int]:
    """Ticks of the levels, nearest first. Each step is rounded outwards, so that none is smaller than told or than the fees."""
    fee_up, fee_down = fee_floor(spec.market).as_integer_ratio()
    found: list[int] = []
    at = centre
    for rung in spec.up if side is Side.SELL else spec.down:
        share, whole = rung.ratio.as_integer_ratio()
        if side is Side.SELL:
            at = max(at + rung.ticks, -(-at * (whole + share) // whole), -(-at * fee_up // fee_down))
        else:
            at = min(at - rung.ticks, at * (whole - share) // whole, at * fee_down // fee_up)
        if at < 1:
            break
        found.append(at)
    return found


def build(spec: GridSpec, books: Books, centre: int, carry: int) -> list[Slot]:
    """The levels of a generation, buys and sells in turn from the centre outwards, as far as money, exposure and orders go.

    ``carry`` lots were bought in partial fills and not yet offered (below zero: sold): for the other side's first level.
    """
    purse = _Purse(spec, books, centre)
    slots: list[Slot] = []
    for side, level, ticks, rung in _nearest_first(spec, centre):
        if len(slots) == spec.max_orders:
            break
        base = purse.wanted(rung, ticks)
        extra = max(0, -carry if side is Side.BUY else carry) if level == 1 else 0
        lots = min(base + extra, purse.affordable(side, ticks))
        if lots < 1 or EXACT.compare(books.money(ticks * lots), spec.market.min_notional) < 0:
            continue
        purse.take(side, ticks, lots)
        slots.append(Slot(side, level, ticks, lots, min(base, lots)))
    return slots


def _nearest_first(spec: GridSpec, centre: int) -> Iterator[tuple[Side, int, int, Rung]]:
    down, up = prices(spec, Side.BUY, centre), prices(spec, Side.SELL, centre)
    for i in range(max(len(down), len(up))):
        if i < len(down):
            yield Side.BUY, i + 1, down[i], spec.down[i]
        if i < len(up):
            yield Side.SELL, i + 1, up[i], spec.up[i]


class _Purse:
    """What is left for orders. Money is counted in a unit so small that all of it is whole."""

    def __init__(self, spec: GridSpec, books: Books, centre: int) -> None:
        market = spec.market
        unit, cash = Fraction(books.unit), Fraction(books.cash)
        # Both fees, the higher: a venue may say taker where we thought to rest, and cash must not go below zero.
        cost = unit * (1 + max(Fraction(market.maker_fee), Fraction(market.taker_fee), Fraction(0)))
        start = Fraction(books.start_equity())
        growth = Fraction(books.equity(centre)) / start if spec.compound and start > 0 else Fraction(1)
        self._growth, self._unit = growth.as_integer_ratio(), unit.as_integer_ratio()
        finest = lcm(cash.denominator, cost.denominator)
        self._cash, self._cost = int(cash * finest), int(cost * finest)
        self._lots = books.lots
        self._room = None if spec.max_lots is None else spec.max_lots - books.lots

    def wanted(self, rung: Rung, ticks: int) -> int:
        lots, parts = self._growth
        if rung.lots:
            return lots * rung.lots // parts
        quote, quotes = rung.quote.as_integer_ratio()
        unit, units = self._unit
        return lots * quote * units // (parts * quotes * ticks * unit)

    def affordable(self, side: Side, ticks: int) -> int:
        if side is Side.SELL:
            return self._lots
        lots = self._cash // (ticks * self._cost)
        return lots if self._room is None else min(lots, self._room)

    def take(self, side: Side, ticks: int, lots: int) -> None:
        if side is Side.SELL:
            self._lots -= lots
            return
        self._cash -= ticks * lots * self._cost
        if self._room is not None:
            self._room -= lots
