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
        quiet_ms: so long after the first complete reading nothing is decided: orders that were accepted by the process before
            this one have been announced by then, or were not placed, and no longer count for the rate.
    """

    def __init__(self, max_age_ms: int, quiet_ms: int) -> None:
        self.max_age_ms = max_age_ms
        self._quiet_ms = quiet_ms
        self._heard: dict[Hashable, tuple[int | None, int]] = {}  # what ``polled`` was, since when
        self._looked_ms: int | None = None
        self._behind = 0
        self._ready_ms: int | None = None
        self.read_until_ms: int | None = None  # all that the topics held then is known

    def look(self, stands: Mapping[Hashable, Stand], now_ms: int) -> None:
        """Take in how the partitions stand.

        What the broker has said since the look before may be as old as that look: if this process stood still in between, the
        answer has lain there all the while.
        """
        since_ms = now_ms if self._looked_ms is None else self._looked_ms
        self._looked_ms = now_ms
        for partition, stand in stands.items():
            known = self._heard.get(partition)
            if known is None or known[0] != stand.polled:
                self._heard[partition] = stand.polled, since_ms
        unheard = any(stand.end is None for stand in stands.values())
        self._behind = sum(max(0, (stand.end or 0) - stand.position) for stand in stands.values())
        if stands and not unheard and not self._behind:
            self.read_until_ms = min(since_ms for _, since_ms in self._heard.values())
            if self._ready_ms is None:
                self._ready_ms = now_ms + self._quiet_ms

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


class Lease:
    """Whether this process may still decide: another one that takes over says so where state is kept, and is asked for there.

    Args:
        max_age_ms: so long after it was last confirmed nothing is decided.
    """

    def __init__(self, max_age_ms: int) -> None:
        self._max_age_ms = max_age_ms
        self._confirmed_ms: int | None = None

    def confirmed(self, asked_ms: int) -> None:
        """The state was still ours when that was asked."""
        self._confirmed_ms = asked_ms

    def fault(self, now_ms: int) -> Fault | None:
        """Why nothing can be decided now; None: it can."""
        if self._confirmed_ms is None:
            return Fault(Kind.STALE, "starting: the state is not ours yet")
        if (age_ms := now_ms - self._confirmed_ms) > self._max_age_ms:
            return Fault(Kind.DOWN, f"nobody has said for {age_ms} ms that no other process has taken over")
        return None
