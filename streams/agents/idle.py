"""When a partition counts as read to its end, so that it no longer holds back the merge by event time.

    written to ──────────────▶ end, as the broker's last answer says
    processed ───────────────▶ position
    position == end            the clock starts
    … for idle_timeout, *and* the broker has answered since then    idle, once, until the next record

The second condition matters: the end is known only as of the broker's last answer. A broker that is slow, or a consumer
that is busy with another topic, must not make a topic look silent. For the same reason it is kept when the broker has
confirmed that an idle partition still is at its end: ``clock`` believes in silence only up to then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.transport import EndOfPartition


@dataclass(slots=True)
class _Seen:
    position: int = -1
    answered_ms: int = -1
    at_end_since_s: float | None = None
    confirmed_s: float | None = None
    idle: bool = False


class IdleWatch:
    """Decides which partitions have become idle.

    Args:
        timeout_s: how long a partition must stay at its end.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._seen: dict[tuple[str, int], _Seen] = {}

    def forget(self) -> None:
        """Begin anew, after partitions were assigned."""
        self._seen.clear()

    def became_idle(self, tp: tuple[str, int], position: int, end: EndOfPartition | None, now_s: float) -> bool:
        """Whether ``tp`` has just become idle; true once until records come again.

        Args:
            tp: topic and partition.
            position: the next offset to process.
            end: what the broker's last answer said, or None when it has not answered.
            now_s: a monotonic clock.
        """
        seen = self._seen.setdefault(tp, _Seen())
        if position != seen.position:
            seen.position, seen.at_end_since_s, seen.confirmed_s, seen.idle = position, None, None, False
        if end is None:
            return False
        answered = end.answered_ms != seen.answered_ms  # wall clock: only ever compared for being another answer
        seen.answered_ms = end.answered_ms
        if end.offset > position:
            seen.at_end_since_s = seen.confirmed_s = None
        elif answered:
            seen.confirmed_s = now_s
            if seen.at_end_since_s is None:
                seen.at_end_since_s = now_s
            elif not seen.idle and now_s - seen.at_end_since_s >= self._timeout_s:
                seen.idle = True
                return True
        return False

    def confirmed_s(self, tps: Iterable[tuple[str, int]]) -> float | None:
        """When the broker has last confirmed that partitions are at their ends, of that for which it is longest ago.

        None unless all of them are idle.
        """
        seen = [self._seen.get(tp) for tp in tps]
        confirmed = [s.confirmed_s for s in seen if s is not None and s.idle and s.confirmed_s is not None]
        return min(confirmed) if len(confirmed) == len(seen) > 0 else None
