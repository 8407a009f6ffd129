"""The alerts that the dashboard keeps: the newest, within bounds; where each stands in the topic; which a client has missed.

A client's position names the next offset of every partition, so it means the same to another process, or after a restart.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_ALERTS = 20_000
#: Of the alerts as they are on the topic; one that names a thousand events has some 25 kB.
MOST_BYTES = 64 * 1024 * 1024
#: Text of an alert that is searched.
_TEXT_CHARS = 1_000


class Position(NamedTuple):
    """After an alert.

    Attributes:
        partition: of that alert; -1: of none, the position only says how far everything was read.
        offsets: next of every partition, from 0.
    """

    partition: int
    offsets: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.partition}@{'.'.join(map(str, self.offsets))}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """None: it is none."""
        head, _, tail = text[:2_000].partition("@")
        try:
            found = cls(int(head), tuple(int(one) for one in tail.split(".")))
        except ValueError:
            return None
        return found if min(found.offsets) >= 0 and -1 <= found.partition < len(found.offsets) else None


class Kept(NamedTuple):
    """An alert.

    Attributes:
        position: as text: the id of its server-sent event.
        offsets: the same.
        received_ms: time stamp of its record.
        text: what is searched, in lower case.
        value: the record's.
    """

    id: str
    rule: str
    severity: str
    account: str
    partition: int
    offset: int
    offsets: tuple[int, ...]
    position: str
    received_ms: int
    text: str
    value: bytes

    def plain(self) -> dict[str, Any]:
        """The alert as on the topic."""
        found: dict[str, Any] = orjson.loads(self.value)
        return found


@dataclass(frozen=True)
class Filter:
    """Which alerts somebody wants; what is empty does not filter."""

    severity: str = ""
    rule: str = ""
    account: str = ""
    state: str = ""
    text: str = ""

    def takes(self, one: Kept, state: str) -> bool:
        """Whether the alert is among them.

        Args:
            one: the alert.
            state: in which it is.
        """
        return (
            (not self.severity or one.severity in self.severity.split(","))
            and (not self.rule or one.rule == self.rule)
            and (not self.account or one.account == self.account)
            and (not self.state or state == self.state)
            and (not self.text or self.text.lower() in one.text)
        )


class AlertStore:
    """Keeps the newest alerts.

    Args:
        begin: offset of every partition at which reading begins.
        most: alerts kept; ``most_bytes``: of their records.
    """

    def __init__(self, begin: tuple[int, ...], *, most: int = MOST_ALERTS, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._kept: deque[Kept] = deque()
        self._by_id: dict[str, Kept] = {}
        self._bytes = 0
        self._next = begin
        self._gone = list(begin)  # offsets before these are not kept

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def position(self) -> Position:
        """How far everything was read."""
        return Position(-1, self._next)

    @property
    def bytes_kept(self) -> int:
        """Of records."""
        return self._bytes

    def add(self, partition: int, offset: int, received_ms: int, value: bytes | None) -> Kept | None:
        """Take a record in; None: it is no alert, or was there before."""
        if offset < self._next[partition]:
            return None
        self._next = (*self._next[:partition], offset + 1, *self._next[partition + 1 :])
        made = _kept(partition, offset, self._next, received_ms, value)
        if made is None or made.id in self._by_id:
            return None  # workers write at least once
        self._kept.append(made)
        self._by_id[made.id] = made
        self._bytes += len(made.value)
        while len(self._kept) > self._most or (self._bytes > self._most_bytes and len(self._kept) > 1):
            self._drop()
        return made

    def _drop(self) -> None:
        gone = self._kept.popleft()
        del self._by_id[gone.id]
        self._bytes -= len(gone.value)
        self._gone[gone.partition] = max(self._gone[gone.partition], gone.offset + 1)

    def get(self, alert_id: str) -> Kept | None:
        """By its id."""
        return self._by_id.get(alert_id)

    def newest(self) -> Iterator[Kept]:
        """The newest first."""
        return reversed(self._kept)

    def since(self, position: Position) -> list[Kept] | None:
        """What came after a position, the oldest first; None: not all of it is kept, or the topic is another one now."""
        offsets = position.offsets
        if len(offsets) != len(self._next):
            return None
        if any(at < gone or at > end for at, gone, end in zip(offsets, self._gone, self._next, strict=True)):
            return None
        return [one for one in self._kept if one.offset >= offsets[one.partition]]

    def page(
        self, wanted: Filter, state_of: Callable[[str], str], before: Position | None, limit: int
    ) -> tuple[list[Kept], str | None, int]:
        """A page of alerts, the newest first; where the next begins; how many there are in all.

        Args:
            wanted: which.
            state_of: the state of the alert with an id.
            before: the position of the last alert of the page before.
            limit: of the page.
        """
        matching = [one for one in reversed(self._kept) if wanted.takes(one, state_of(one.id))]
        rest = [one for one in matching if before is None or _is_before(one, before)]
        page = list(islice(rest, limit))
        return page, page[-1].position if len(rest) > limit and page else None, len(matching)


def _is_before(one: Kept, position: Position) -> bool:
    if one.partition >= len(position.offsets):
        return False
    end = position.offsets[one.partition]
    return one.offset < (end - 1 if one.partition == position.partition else end)


def _kept(partition: int, offset: int, offsets: tuple[int, ...], received_ms: int, value: bytes | None) -> Kept | None:
    try:
        plain = orjson.loads(value or b"")
        key, row = plain["key"], plain["row"]
        rule, severity, identity = str(plain["rule"]), str(plain["severity"]), str(plain["id"])
        account = key.get("account", row.get("account"))
        text = " ".join((rule, severity, identity, *(str(v) for v in (*key.values(), *row.values()))))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return Kept(
        identity,
        rule,
        severity,
        "" if account is None else str(account),
        partition,
        offset,
        offsets,
        str(Position(partition, offsets)),
        received_ms,
        text[:_TEXT_CHARS].lower(),
        value or b"",
    )
