"""Aggregates over rows that come and go."""

from __future__ import annotations

from collections import deque
from decimal import Context
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Any

from m1cep.runtime.exact import deviation, variance

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXACT = Context(prec=400)  # digits: sums of DECIMALs are not to be rounded
plus_decimal = _EXACT.add
minus_decimal = _EXACT.subtract

UNITS = 2.0**100  # sums of DOUBLEs are kept in units of its inverse
_WHOLE_UNITS = 2**100


def scaled(x: float) -> int | Fraction:
    """``x`` in units of 2**-100, exactly: nearly always a whole number.

    Sums of such numbers have no rounding and no drift: taking away what was added gives back what was before, so that a sum
    depends on the rows in the frame and not on those that left it (ADR 4). Generated code does the usual case by itself.
    """
    exact = Fraction(x) * _WHOLE_UNITS
    return exact.numerator if exact.denominator == 1 else exact


def rounded(total: int | Fraction) -> float | None:
    """The DOUBLE nearest to a sum of ``scaled`` numbers; None beyond DOUBLE."""
    try:
        return total / _WHOLE_UNITS if type(total) is int else float(total / _WHOLE_UNITS)
    except OverflowError:
        return None


def mean(total: int | Fraction, count: int) -> float | None:
    """A sum of ``scaled`` numbers, rounded, divided by ``count``; None beyond DOUBLE."""
    found = rounded(total)
    return None if found is None else found / count


class Moments:
    """Count, exact sum and exact sum of squares of numbers that come and go: for STDDEV and VARIANCE without cancellation.

    Every DOUBLE is a whole multiple of 2**-1074, its square of 2**-2148: the sums are whole numbers in these units.
    """

    __slots__ = ("count", "squares", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.squares = 0

    def add(self, x: float) -> None:
        """A number comes in."""
        numerator, denominator = x.as_integer_ratio()
        shift = 1075 - denominator.bit_length()
        self.count += 1
        self.total += numerator << shift
        self.squares += numerator * numerator << 2 * shift

    def remove(self, x: float) -> None:
        """A number that came in before goes."""
        numerator, denominator = x.as_integer_ratio()
        shift = 1075 - denominator.bit_length()
        self.count -= 1
        self.total -= numerator << shift
        self.squares -= numerator * numerator << 2 * shift

    def merge(self, other: Moments) -> None:
        """The numbers of another come in."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares

    def variance(self, less: int) -> float | None:
        """Sum of squared deviations by ``count - less``; None for too few numbers, or beyond DOUBLE."""
        return variance((self.count, self.total, self.squares), less)

    def deviation(self, less: int) -> float | None:
        """Square root of the variance."""
        return deviation((self.count, self.total, self.squares), less)

    def state(self) -> list[int]:
        """As plain values."""
        return [self.count, self.total, self.squares]

    def load(self, state: Sequence[int]) -> None:
        """Back from plain values."""
        self.count, self.total, self.squares = state


class Extreme:
    """The least or greatest of values that leave in the order in which they came.

    A value that a later one beats can never be the extreme again and is dropped: every value enters and leaves once.
    """

    __slots__ = ("greatest", "queue")

    def __init__(self, greatest: bool) -> None:
        self.greatest = greatest
        self.queue: deque[Any] = deque()

    def add(self, x: Any) -> None:
        """A value comes in."""
        queue = self.queue
        if self.greatest:
            while queue and queue[-1] < x:
                queue.pop()
        else:
            while queue and queue[-1] > x:
                queue.pop()
        queue.append(x)

    def remove(self, x: Any) -> None:
        """The oldest value goes; it is the extreme or was beaten before."""
        if self.queue and self.queue[0] == x:
            self.queue.popleft()

    def value(self) -> Any:
        """The extreme, or None when there is no value."""
        return self.queue[0] if self.queue else None


def finite(x: float | None) -> float | None:
    """``x``, or NULL where a computation went beyond DOUBLE: it could be added but never taken away again."""
    return x if x is not None and isfinite(x) else None


def contributing_ids(
    present: str, queues: Sequence[tuple[Sequence[Any], bool]], lags: Sequence[tuple[Sequence[tuple[str, Any]], int]]
) -> list[str]:
    """Ids of the rows that count in some frame or that a LAG saw, and of the present row, oldest first.

    Args:
        present: id of the present row.
        queues: a frame's rows each, as (time, id, values that count or None), and whether all of them count; all end with the
            present row.
        lags: (id, value) of the latest rows, and how far back a LAG looks.
    """
    back = {0: present}  # rows before the present one -> id
    for queue, all_count in queues:
        for distance, (_, event_id, *values) in enumerate(reversed(queue)):
            if all_count or any(v is not None for v in values):
                back[distance] = event_id
    for rows, distance in lags:
        if len(rows) > distance:
            back[distance] = rows[0][0]
    return [back[distance] for distance in sorted(back, reverse=True)]
