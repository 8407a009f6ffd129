"""What an account was worth at every point of a path: exactly where one asks, as floats where it is drawn."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from m1cep.grid.machine.books import EXACT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from m1cep.grid.machine.books import Books

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The books from one point on, until the next stretch begins.

    Attributes:
        cash, fees: in quote.
        lots: held, and what these
        cost: in units of the books: legs that are open, and the inventory of the beginning.
        matched: profit of pairs before fees, in the same units.
    """

    point: int
    cash: Decimal
    lots: int
    cost: int
    matched: int
    fees: Decimal
    fills: int
    generation: int

    @classmethod
    def of(cls, point: int, books: Books, generation: int) -> Stretch:
        """Of the books as they are."""
        cost = sum(leg.lots * leg.ticks for leg in books.legs) + books.start_lots * books.start_ticks
        return cls(point, books.cash, books.lots, cost, books.matched, books.fees, books.fills, generation)


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall from a height.

    Attributes:
        share: of the height.
        amount: in quote, exact.
        peak_ms, trough_ms: when it began and when it was deepest.
    """

    share: float
    amount: Decimal
    peak_ms: int
    trough_ms: int


class Curve:
    """A grid's account over time: the books of each stretch, and a price at each point.

    Args:
        unit: quote of one tick times one lot.
        time_ms, ticks: of the points.
        stretches: the first begins at point 0.
    """

    def __init__(self, unit: Decimal, time_ms: Sequence[int], ticks: Sequence[int], stretches: list[Stretch]) -> None:
        self.unit = unit
        self.time_ms, self.ticks, self.stretches = time_ms, ticks, stretches
        self._begins = [stretch.point for stretch in stretches]

    def __len__(self) -> int:
        return len(self.ticks)

    def at(self, point: int) -> Stretch:
        """The books at a point."""
        return self.stretches[bisect_right(self._begins, point) - 1]

    def equity(self, point: int) -> Decimal:
        """Cash and holdings at the price of that point, exact."""
        books = self.at(point)
        return EXACT.add(books.cash, self._money(books.lots * self.ticks[point]))

    def grid_profit(self, point: int) -> Decimal:
        """Of matched pairs, less fees."""
        books = self.at(point)
        return EXACT.subtract(self._money(books.matched), books.fees)

    def floating(self, point: int) -> Decimal:
        """Of what is not matched, and of the inventory of the beginning."""
        books = self.at(point)
        return self._money(books.lots * self.ticks[point] - books.cost)

    def _money(self, units: int) -> Decimal:
        return EXACT.multiply(self.unit, Decimal(units))

    # -- all points at once, to be drawn

    @cached_property
    def prices(self) -> Floats:
        """In ticks."""
        return np.asarray(self.ticks, dtype=np.float64)

    def equities(self) -> Floats:
        return self._each(lambda books: float(books.cash)) + self._holdings()

    def grid_profits(self) -> Floats:
        return self._each(lambda books: books.matched * float(self.unit) - float(books.fees))

    def floatings(self) -> Floats:
        return self._holdings() - self._each(lambda books: books.cost * float(self.unit))

    def fees(self) -> Floats:
        return self._each(lambda books: float(books.fees))

    def generations(self) -> Floats:
        return self._each(lambda books: float(books.generation))

    def _holdings(self) -> Floats:
        return self._each(lambda books: books.lots * float(self.unit)) * self.prices

    def _each(self, value: Callable[[Stretch], float]) -> Floats:
        lengths = np.diff([*self._begins, len(self)])
        return np.repeat(np.array([value(stretch) for stretch in self.stretches]), lengths)


def drawdowns(values: Floats) -> Floats:
    """How far each value is below the highest so far, as a share of that."""
    return 1 - values / np.maximum.accumulate(values)


def max_drawdown(values: Floats) -> tuple[int, int]:
    """Where the deepest fall (as a share) began and where it was deepest; of equal falls the first."""
    trough = int(np.argmax(drawdowns(values)))
    return int(np.argmax(values[: trough + 1])), trough
