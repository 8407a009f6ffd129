"""Events that were seen before: the ids of the last ones of a stream.

Two sets that change places: ids go into ``newer`` until it is full, then it becomes ``older`` and what was there is forgotten.

    window 4     a b c d | e f g h | i j        remembered: e f g h i j, so never fewer than the last four
                 (gone)    older     newer

They change at exact counts, so what is a repetition depends on the order of the events alone, not on how they come in batches.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.model.alert import event_digest
from m1cep.model.stream import EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.model.stream import Stream


class Seen:
    """Drops repetitions among the events of one stream.

    An event's id is its ``event_id``, or a digest of its contents where it has none.

    Args:
        stream: whose events they are.
        window: how many different events before an event are looked at, at least; at most twice as many.
    """

    def __init__(self, stream: Stream, window: int) -> None:
        column = stream.by_name.get(EVENT_ID)
        self._id_of: Callable[[Any], Any] | None = attrgetter(column.attr) if column is not None else None
        self._is_text = column is not None and column.type.kind == "STRING"
        self._window = window
        self._newer: set[str] = set()
        self._older: frozenset[str] | set[str] = frozenset()
        self._order: list[str] = []  # the ids of ``newer`` as they came
        self._before: list[str] = []  # those of ``older``

    def fresh(self, rows: list[Any]) -> list[int] | None:
        """Indices of the rows that are no repetitions; None when none is one. All of them are remembered from now on."""
        ids = self._ids(rows)
        if len(ids) <= self._window - len(self._order) and self._add(ids):
            return None
        kept: list[int] = []
        start = 0
        while start < len(ids):
            room = self._window - len(self._order)
            part = ids[start : start + room]
            kept += range(start, start + len(part)) if self._add(part) else self._sift(part, start)
            start += len(part)
        return None if len(kept) == len(rows) else kept

    def _add(self, ids: list[str]) -> bool:
        """Remember ``ids``, no more than there is room for, if they are all new."""
        newer, order = self._newer, self._order
        if not self._older.isdisjoint(ids):
            return False
        newer.update(ids)
        if len(newer) < len(order) + len(ids):
            self._newer = set(order)  # as it was: it is not known any more which of them were there before
            return False
        order += ids
        if len(order) == self._window:
            self._change()
        return True

    def _sift(self, ids: list[str], start: int) -> list[int]:
        """One by one: the indices of those that are new, counted from ``start``."""
        kept: list[int] = []
        for index, one in enumerate(ids, start):
            if one not in self._newer and one not in self._older:
                self._newer.add(one)
                self._order.append(one)
                kept.append(index)
        if len(self._order) == self._window:
            self._change()
        return kept

    def _change(self) -> None:
        self._older, self._before = self._newer, self._order
        self._newer, self._order = set(), []

    def _ids(self, rows: list[Any]) -> list[str]:
        if self._id_of is None:
            return list(map(event_digest, rows))
        ids = list(map(self._id_of, rows))
        if self._is_text and None not in ids:
            return ids
        return [event_digest(row) if one is None else str(one) for one, row in zip(ids, rows, strict=True)]

    def state(self) -> Any:
        """The ids, oldest first."""
        return [msgspec.msgpack.encode(self._before), msgspec.msgpack.encode(self._order)]

    def load(self, state: Any) -> None:
        """The reverse; the window may be another than then."""
        self._before, self._order = map(msgspec.msgpack.decode, state)
        if len(self._order) >= self._window:
            self._before, self._order = self._order, []
        self._older, self._newer = set(self._before), set(self._order)
