"""What running rules hand to the engine, and how the engine calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from m1cep.runtime.batch import Batch


class Hit(msgspec.Struct):
    """A match, before it becomes an alert. Hits sort by when they were decided, whatever the batch cuts.

    Attributes:
        time: event time at which the match was decided: of the deciding row, or of the time-out.
        by_row: 0 decided by a time-out, 1 by a row: at equal times a time-out comes first.
        position: of the deciding row, or of the match's first row for a time-out, counted over the rule's source.
        key: the partition's key as the rule's generated code makes it.
        row: the SELECT list.
        event_time: of the alert.
        events: ids of the contributing events, oldest first.
        identity: what tells this alert from others of the rule and key, where that is not ``events``.
    """

    time: int
    by_row: int
    position: int
    key: Any
    row: dict[str, Any]
    event_time: int
    events: list[str]
    identity: list[str] | None = None


class Operator(Protocol):
    """A running rule. Rows come in event-time order."""

    def feed(self, batch: Batch, out: list[Hit], *, alone: bool = True) -> None:
        """Take rows in; ``alone`` says that no other rule looks at them: an index of the batch is not worth making."""

    def advance(self, watermark: int, out: list[Hit]) -> None:
        """No row before ``watermark`` will come any more."""

    def finish(self, out: list[Hit]) -> None:
        """No row at all will come any more."""

    def counters(self) -> dict[str, int]:
        """Named counts: open attempts, dropped attempts, keys."""

    def state(self) -> Any:
        """What it remembers, as plain values for ``model.pack``."""

    def load(self, state: Any) -> None:
        """Remember what ``state`` gave; tuples may have become lists."""
