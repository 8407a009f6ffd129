"""How old is what we know? As old as the last moment at which everything that the topics held had been read."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from streams.agents.solo import Stand


class Kind(Enum):
    """Of a fault: which status it is answered with."""

    STALE = "FAILED_PRECONDITION"
    DOWN = "UNAVAILABLE"


class Fault(NamedTuple):
    """Why there is no answer now."""

    kind: Kind
    reason: str


class Freshness:
    """Follows a feed. Times are ms of a monotonic clock.

    Args:
        max_age_ms: older knowledge is not decided by.
        confirm_within_ms: so long after the first complete reading nothing is decided: orders that were accepted by the process
            before this one have been announced by then, or were not placed.
    """

    def __init__(self, max_age_ms: int, confirm_within_ms: int) -> None:
        self.max_age_ms = max_age_ms
        self._confirm_within_ms = confirm_within_ms
        self._heard: dict[Hashable, tuple[int | None, int]] = {}  # what ``polled`` was, since when
        self._behind = 0
        self._ready_ms: int | None = None
        self.read_until_ms: int | None = None  # all that the topics held then is known

    def look(self, stands: Mapping[Hashable, Stand], now_ms: int) -> None:
        """Take in how the partitions stand."""
        for partition, stand in stands.items():
            known = self._heard.get(partition)
            if known is None or known[0] != stand.polled:
                self._heard[partition] = stand.polled, now_ms
        unheard = any(stand.end is None for stand in stands.values())
        self._behind = sum(max(0, (stand.end or 0) - stand.position) for stand in stands.values())
        if stands and not unheard and not self._behind:
            self.read_until_ms = min(since_ms for _, since_ms in self._heard.values())
            if self._ready_ms is None:
                self._ready_ms = now_ms + self._confirm_within_ms

    def age_ms(self, now_ms: int) -> int:
        """How old what we know is; only once something is known."""
        return now_ms - (self.read_until_ms or 0)

    def fault(self, now_ms: int) -> Fault | None:
        """Why nothing can be decided now; None: it can."""
        if self._ready_ms is None or self.read_until_ms is None:
            return Fault(Kind.STALE, f"starting: {self._behind} records still to be read")
        if now_ms < self._ready_ms:
            return Fault(Kind.STALE, "starting: waiting for orders that were accepted before")
        age_ms = self.age_ms(now_ms)
        if age_ms <= self.max_age_ms:
            return None
        silent_ms = now_ms - max(since_ms for _, since_ms in self._heard.values())
        if silent_ms > self.max_age_ms or not self._behind:
            return Fault(Kind.DOWN, f"the broker has not answered for {max(silent_ms, age_ms)} ms")
        return Fault(Kind.STALE, f"{self._behind} records behind the topics, complete as of {age_ms} ms ago")
