"""How many records are read at once: as many as are processed within a bounded time.

Large batches are cheap; but while one is processed the worker neither commits nor hands a partition over to another worker. So
when one takes long (heavy rules, many alerts, a slow broker behind the outbox) the next are smaller, and larger again later.
"""

from __future__ import annotations


class Pace:
    """Keeps ``size``, the most records to be read at once.

    Args:
        most: never more than so many.
        least: never fewer.
        aim_s: how long a batch may take.
    """

    def __init__(self, most: int = 4000, least: int = 50, aim_s: float = 0.2) -> None:
        self._most, self._least, self._aim_s = most, least, aim_s
        self.size = most

    def took(self, records: int, seconds: float) -> None:
        """A batch of ``records``, at least one, was processed within ``seconds``, its messages queued.

        A slow one makes the next smaller, by half at most: it may have been slow by chance. They grow when one of twice the
        size would have been quick enough at the same cost a record, so a quick batch of few records does not count for many.
        """
        if seconds > self._aim_s:
            fits = int(records * self._aim_s / seconds)
            self.size = max(self._least, min(self.size, max(self.size // 2, fits)))
        elif seconds * 2 * self.size <= self._aim_s * records:
            self.size = min(self._most, self.size * 2)
