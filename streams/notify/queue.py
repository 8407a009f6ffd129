"""What a target still has to get. Pure: the time is told, chance is handed in.

                     ┌── 2xx ─────────────────────────────▶ delivered
    add ──▶ pending ─┤── 4xx but 408, 429 ────────────────▶ dead
                     └── anything else ──▶ pending, later ──▶ dead, after give_up_after_s, or when too many wait

A target that fails is left alone for longer and longer, and is asked with one delivery at a time until one has arrived: a
delivery that always fails holds up no other, a server that is down gets no flood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

FIRST_WAIT_MS = 1_000
MOST_WAIT_MS = 300_000
MOST_BYTES = 16 * 1024 * 1024  # of a queue: it is in every snapshot
_MOST_DOUBLINGS = 20

ALERT, RESOLVED = "alert", "resolved"


class Delivery(msgspec.Struct):
    """An alert for a target, or the word that it is resolved.

    Attributes:
        alert: id.
        what: ALERT or RESOLVED.
        value: the alert's JSON.
        time_ms: of the alert's event; of RESOLVED of the closing.
        partition, offset: of the alert on its topic; -1: it is on none.
        since_ms: when it came here.
        attempts: made so far.
        next_ms: not before it.
        reason: why the last attempt failed.
        alone: not in one request with others: such a one was refused as a whole.
    """

    alert: str
    what: str
    value: bytes
    time_ms: int
    partition: int
    offset: int
    since_ms: int
    attempts: int = 0
    next_ms: int = 0
    reason: str = ""
    alone: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What it is about."""
        return self.alert, self.what


class Dead(NamedTuple):
    """A delivery that is given up, and why."""

    delivery: Delivery
    reason: str


class Queue:
    """The deliveries of one target, the oldest first.

    Args:
        limit: so many wait at most.
        give_up_after_ms: see above.
        random: for jitter.
    """

    def __init__(self, limit: int, give_up_after_ms: int, random: Random) -> None:
        self._limit, self._give_up_after_ms, self._random = limit, give_up_after_ms, random
        self.pending: dict[tuple[str, str], Delivery] = {}
        self._bytes = 0
        self._under_way: set[tuple[str, str]] = set()
        self._failures = 0  # in a row
        self._pause_until_ms = self._asked_until_ms = 0

    def add(self, delivery: Delivery) -> list[Dead]:
        """Take one more; what gives way to it. An alert that is told anew is not to be said to be over any more."""
        if delivery.what == ALERT:
            self.withdraw((delivery.alert, RESOLVED))
        if delivery.key in self.pending:
            return []
        self.pending[delivery.key] = delivery
        self._bytes += len(delivery.value)
        dead = []
        while (len(self.pending) > self._limit or self._bytes > MOST_BYTES) and len(self.pending) > 1:
            oldest = next((one for one in self.pending.values() if one.key not in self._under_way), None)
            if oldest is None or oldest is delivery:
                break
            waited = f"{len(self.pending) - 1} others wait" + (f"; {oldest.reason}" if oldest.reason else "")
            dead.append(self._drop(oldest, f"the queue is full: {waited}"))
        return dead

    def withdraw(self, key: tuple[str, str]) -> None:
        """It is not to be sent any more, unless it is under way."""
        if key in self.pending and key not in self._under_way:
            self._drop(self.pending[key], "")

    def due(self, now_ms: int, most: int) -> list[Delivery]:
        """What to try now; it is under way until one of the methods below is called for it."""
        if now_ms < max(self._pause_until_ms, self._asked_until_ms):
            return []
        if self._failures:
            most = min(most, 1 - len(self._under_way))
        found: list[Delivery] = []
        for one in self.pending.values():
            if len(found) >= most:
                break
            if one.next_ms > now_ms or one.key in self._under_way:
                continue
            if one.what == RESOLVED and (one.alert, ALERT) in self.pending:
                continue  # first the one, then the other
            found.append(one)
        self._under_way.update(one.key for one in found)
        return found

    def delivered(self, deliveries: Iterable[Delivery]) -> None:
        """They have arrived."""
        self._failures = self._pause_until_ms = 0
        for one in deliveries:
            self._drop(one, "")

    def failed(
        self, deliveries: Iterable[Delivery], now_ms: int, reason: str, retry_after_ms: int | None = None
    ) -> None:
        """They may have arrived or not, and are tried again: each later than the last time, the target as well.

        Args:
            deliveries: that were tried together.
            now_ms: epoch.
            reason: what came instead of yes.
            retry_after_ms: what the server asks for; nothing is sent before.
        """
        if now_ms >= self._pause_until_ms:  # of several that were under way together the first counts
            self._failures += 1
        self._pause_until_ms = now_ms + self._wait_ms(self._failures)
        self._asked_until_ms = max(self._asked_until_ms, now_ms + (retry_after_ms or 0))
        for one in deliveries:
            one.attempts += 1
            one.reason = reason
            one.next_ms = now_ms + max(self._wait_ms(one.attempts), retry_after_ms or 0)
            self._over(one)

    def refused(self, deliveries: Iterable[Delivery], reason: str) -> list[Dead]:
        """The server will never take it. Of several that were refused together each is tried by itself."""
        found = list(deliveries)
        self._failures = self._pause_until_ms = 0
        if len(found) == 1:
            return [self._drop(found[0], reason)]
        for one in found:
            one.alone = True
            self._over(one)
        return []

    def let_go(self, deliveries: Iterable[Delivery]) -> None:
        """The attempt was interrupted; nothing is known of it."""
        self._under_way -= {one.key for one in deliveries}

    def lapse(self, now_ms: int) -> list[Dead]:
        """What has been tried for long enough; what came here and was never tried, because nothing was, is tried first."""
        before_ms = now_ms - self._give_up_after_ms
        old = [
            one
            for one in self.pending.values()
            if one.since_ms <= before_ms and (one.attempts or self._failures) and one.key not in self._under_way
        ]
        seconds = self._give_up_after_ms // 1_000
        return [
            self._drop(one, f"given up after {seconds} s and {one.attempts} attempts: {one.reason or 'not tried'}")
            for one in old
        ]

    def _wait_ms(self, failures: int) -> int:
        """Twice as long each time, and between half and all of that, so that many senders do not come at once."""
        wait_ms = min(MOST_WAIT_MS, FIRST_WAIT_MS << min(failures - 1, _MOST_DOUBLINGS))
        return wait_ms // 2 + self._random.randrange(wait_ms // 2 + 1)

    def _over(self, one: Delivery) -> None:
        """An attempt has ended, and another follows; unless the alert was reopened while its end was on the way."""
        self._under_way.discard(one.key)
        if one.what == RESOLVED and (one.alert, ALERT) in self.pending:
            self._drop(one, "")

    def _drop(self, one: Delivery, reason: str) -> Dead:
        self.pending.pop(one.key, None)
        self._bytes -= len(one.value)
        self._under_way.discard(one.key)
        return Dead(one, reason)
