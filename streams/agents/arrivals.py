"""When the event that decided an alert arrived: found by its event time, among the last batches.

An alert knows the event time at which it was decided, not the record. A batch moves event time on from where it stood, over so
many milliseconds of records; what was decided at a time in between arrived about in between.
"""

from __future__ import annotations

from bisect import bisect_left

_REMEMBERED = 256


class Arrivals:
    """The last batches of a partition.

    Attributes:
        newest_us: event time as of the last batch; None before the first.
    """

    def __init__(self) -> None:
        self._batches: list[
            tuple[int, int, int, int]
        ] = []  # in order of the first: event time after and before, records
        self.newest_us: int | None = None

    def saw(self, newest_us: int | None, first_ms: int | None, last_ms: int | None) -> None:
        """A batch has moved event time on to ``newest_us``; the times of its first and last record."""
        before_us, self.newest_us = self.newest_us, newest_us
        if newest_us is None or newest_us == before_us or first_ms is None or last_ms is None:
            return
        self._batches.append((newest_us, newest_us if before_us is None else before_us, first_ms, last_ms))
        if len(self._batches) > 2 * _REMEMBERED:
            del self._batches[:_REMEMBERED]

    def of(self, event_us: int) -> int | None:
        """When the event of this time arrived (epoch, milliseconds); None when no batch that is remembered has brought it."""
        at = bisect_left(self._batches, (event_us,))
        if at == len(self._batches):
            return None
        newest_us, before_us, first_ms, last_ms = self._batches[at]
        span_us = newest_us - before_us
        share = max(0.0, (event_us - before_us) / span_us) if span_us else 0.0
        return first_ms + round((last_ms - first_ms) * share)
