"""Aggregates over rows that come and go."""

from __future__ import annotations

from collections import deque
from decimal import Context
from fractions import Fraction
from math import fsum, isfinite
from typing import TYPE_CHECKING, Any

from m1cep.runtime.exact import deviation, variance

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXACT = Context(prec=400)  # digits: sums of DECIMALs are not to be rounded
plus_decimal = _EXACT.add
minus_decimal = _EXACT.subtract

_HUGE = 2.0**970  # the sum of as many smaller values as a frame can hold does not overflow


class Total:
    """A sum of DOUBLEs that values are added to and taken from without drift.

    It holds the exact sum as non-overlapping parts (Shewchuk, "Adaptive precision floating-point arithmetic", 1997, as in
    math.fsum): taking away what was added gives back exactly what was before, so that the sum depends on the rows in the frame
    and not on those that left it. Values that could overflow are whole numbers and are kept as one.
    """

    __slots__ = ("huge", "parts")

    def __init__(self) -> None:
        self.parts: list[float] = []
        self.huge = 0

    def add(self, x: float) -> None:
        """Add ``x``; add ``-x`` to take it away."""
        parts = self.parts
        kept = 0
        for y in parts:
            if abs(x) < abs(y):
                x, y = y, x  # noqa: PLW2901 - two-sum needs them in order
            high = x + y
            low = y - (high - x)
            if low:
                parts[kept] = low
                kept += 1
            x = high
        if -_HUGE < x < _HUGE:
            parts[kept:] = [x] if x else []
        else:
            del parts[kept:]
            self.huge += int(x)

    def value(self) -> float | None:
        """The sum, correctly rounded: it depends on the exact sum only, not on how the parts came about. None beyond DOUBLE."""
        parts = self.parts
        if self.huge:
            try:
                return float(self.huge + sum(map(Fraction, parts)))
            except OverflowError:
                return None
        return parts[0] if len(parts) == 1 else fsum(parts)

    def mean(self, count: int) -> float | None:
        """The sum divided by ``count``; None beyond DOUBLE."""
        total = self.value()
        return None if total is None else total / count

    def merge(self, other: Total) -> None:
        """Add another sum."""
        for x in other.parts:
            self.add(x)
        self.huge += other.huge

    def state(self) -> list[Any]:
        """As plain values."""
        return [*self.parts, self.huge] if self.huge else list(self.parts)

    def load(self, state: Sequence[Any]) -> None:
        """Back from plain values."""
        self.huge = state[-1] if state and isinstance(state[-1], int) else 0
        self.parts = [x for x in state if isinstance(x, float)]


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
    present: str, queues: Sequence[Sequence[Any]], lags: Sequence[tuple[Sequence[tuple[str, Any]], int]]
) -> list[str]:
    """Ids of the rows that count in some frame or that a LAG saw, and of the present row, oldest first.

    Args:
        present: id of the present row.
        queues: a frame's rows each, as (time, id, values that count or None); all end with the present row.
        lags: (id, value) of the latest rows, and how far back a LAG looks.
    """
    back = {0: present}  # rows before the present one -> id
    for queue in queues:
        for distance, (_, event_id, *values) in enumerate(reversed(queue)):
            if any(v is not None for v in values):
                back[distance] = event_id
    for rows, distance in lags:
        if len(rows) > distance:
            back[distance] = rows[0][0]
    return [back[distance] for distance in sorted(back, reverse=True)]
