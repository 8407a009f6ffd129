"""Aggregates over rows that come and go."""

from __future__ import annotations

from collections import deque
from math import fsum
from typing import Any


class Total:
    """A sum of DOUBLEs that values are added to and taken from without drift.

    It holds the exact sum as non-overlapping parts (Shewchuk, "Adaptive precision floating-point arithmetic", 1997, as in
    math.fsum): taking away what was added gives back exactly what was before, so that the sum depends on the rows in the frame
    and not on those that left it.
    """

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: list[float] = []

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
        parts[kept:] = [x] if x else []

    def value(self) -> float:
        """The sum, correctly rounded: it depends on the exact sum only, not on how the parts came about."""
        parts = self.parts
        return parts[0] if len(parts) == 1 else fsum(parts)


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
