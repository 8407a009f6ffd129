"""Which partitions are not read for now, because their rows only wait for other topics to catch up in event time.

    orders   ████████████████████████████████▏20,000 rows wait        not read until half of them are gone
    fills    ███▏behind: everything waits for it                      read, always

Otherwise a topic with a day's backlog would be held in memory as a whole while another is read from its beginning. Kafka Streams
does the same (``buffered.records.per.partition``).

There is no dead end: a topic that others wait for has, by the engine's count, no rows that wait, and one that is idle neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faust.types import TP


class Ahead:
    """Decides from the rows that wait.

    Args:
        limit: rows of a partition that may wait. What is on its way when it is reached still comes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tps: frozenset[TP] = frozenset()

    def of(self, waiting: Iterable[tuple[TP, int]]) -> frozenset[TP]:
        """The partitions not to be read, given how many rows of each partition wait for others."""
        limit, before = self._limit, self._tps
        self._tps = frozenset(tp for tp, rows in waiting if rows > (limit // 2 if tp in before else limit))
        return self._tps
