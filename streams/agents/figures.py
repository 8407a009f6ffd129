"""Distributions that cost next to nothing to keep: a histogram since the start, and the quantiles of the last seconds."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque

#: Of times: from a millisecond to ten seconds.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
RECORDS = (1, 4, 16, 64, 256, 1024, 4096)
_RECENT_S = 10.0
_MOST_RECENT = 10_000


class Histogram:
    """How many values were at most each bound.

    Args:
        bounds: rising; what is above the last is counted too.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        found, so_far = [], 0
        for bound, count in zip((*map(str, map(float, self.bounds)), "+Inf"), self.counts, strict=True):
            so_far += count
            found.append((bound, float(so_far)))
        return found

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts)


class Latency(Histogram):
    """A histogram of seconds that also knows the quantiles of the last ten seconds, of at most 10,000 values."""

    __slots__ = ("_recent",)

    def __init__(self) -> None:
        super().__init__()
        self._recent: deque[tuple[float, float]] = deque(maxlen=_MOST_RECENT)

    def observe(self, value: float) -> None:
        """Count a value of now."""
        super().observe(value)
        self._recent.append((time.monotonic(), value))

    def recent_ms(self) -> dict[str, float] | None:
        """Median and 99th percentile in milliseconds, and of how many; None without any."""
        since_s = time.monotonic() - _RECENT_S
        while self._recent and self._recent[0][0] < since_s:
            self._recent.popleft()
        values = sorted(value for _, value in self._recent)
        if not values:
            return None
        last = len(values) - 1
        p50, p99 = (round(values[round(share * last)] * 1000, 3) for share in (0.5, 0.99))
        return {"p50": p50, "p99": p99, "count": len(values)}
