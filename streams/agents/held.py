"""Up to where the rules have seen everything: rows that wait in the merge by event time must not be committed.

The engine lets a row go to the rules once no topic can bring an older one. Until then the row exists in memory only; were
its offset committed, a kill would lose it for every rule. So a batch counts as seen when the watermark has passed its
newest row:

    orders    positions    100        200        300             newest row of each batch    10:00   10:05   10:09
    fills     read up to event time 10:06, may be 1 s late        watermark                  10:05
    committable for orders: 100 — the batch up to 200 has a row *at* the watermark, which a fill may still precede

What rules *remember* of rows that they have seen (a pattern under way, a window) is not kept here; that is for snapshots.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEVER = -(2**63)


@dataclass(slots=True)
class _Topic:
    delay_us: int
    highest_us: int = _NEVER
    idle: bool = False
    waiting: deque[tuple[int, int]] = field(default_factory=deque)  # position after a batch, highest time up to there

    @property
    def watermark_us(self) -> int:
        return max(self.highest_us - self.delay_us, _NEVER)


class Held:
    """Follows the engine's watermark of one partition number over all topics that the engine reads.

    The engine merges each rule's topics apart; here all are taken together, which can only hold back longer.

    Args:
        delays_us: by topic, how late its events may be, in microseconds.
    """

    def __init__(self, delays_us: Mapping[str, int]) -> None:
        self._topics = {topic: _Topic(delay) for topic, delay in delays_us.items()}

    def took(self, topic: str, position: int, newest_us: int | None) -> None:
        """A batch was pushed.

        Args:
            topic: of the batch.
            position: the next offset after it.
            newest_us: highest event time in it, in microseconds; None when it had no readable event.
        """
        found = self._topics[topic]
        if newest_us is not None:
            found.idle = False
            found.highest_us = max(found.highest_us, newest_us)
        found.waiting.append((position, found.highest_us))

    def idle(self, topic: str) -> None:
        """The engine was told that the topic is read to its end."""
        self._topics[topic].idle = True

    def released(self) -> dict[str, int]:
        """Positions before which the rules have seen everything, of the topics where that has changed."""
        active = [topic.watermark_us for topic in self._topics.values() if not topic.idle]
        # A single topic's rows go at the watermark already: what comes later at the same time comes after them anyway.
        passed_us = min(active) - (len(self._topics) > 1) if active else 2**63
        found: dict[str, int] = {}
        for name, topic in self._topics.items():
            while topic.waiting and topic.waiting[0][1] <= passed_us:
                found[name] = topic.waiting.popleft()[0]
        return found
